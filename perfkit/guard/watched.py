"""Evaluates a traced program as it stands while something looks on, and follows bad values back.

What :mod:`perfkit.guard.locate` searches with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import JaxprEqn, Var
from jax.extend.core import Literal as Constant

from perfkit.guard.declared import Mask, mask_of_literal, masks_of_results
from perfkit.guard.finding import Kind
from perfkit.guard.interpreter import in_place_of
from perfkit.guard.structure import Program, is_floating, repeat


class Seen(NamedTuple):
    """What stands around one equation: operands and results, and where NaN is declared in them."""

    values: list[Array]
    masks: list[Mask]
    results: list[Array]
    result_masks: list[Mask]


def _test(kind: Kind) -> Callable[[Array], Array]:
    return jnp.isnan if kind == "nan" else jnp.isinf


def bad_elements(kind: Kind, value: Array, mask: Mask) -> Array:
    """Elements that are bad and not declared to be NaN; an infinity is never declared."""
    bad = _test(kind)(value)
    return bad if mask is None or kind == "inf" else bad & ~mask


def holds(kind: Kind, value: Array, mask: Mask) -> bool:
    """Whether any element is bad."""
    floating = jnp.issubdtype(jnp.result_type(value), jnp.floating)
    return bool(floating) and bool(jnp.any(bad_elements(kind, jnp.asarray(value), mask)))


def unmasked(values: Sequence[object]) -> list[Mask]:
    """The masks of values in which no NaN is declared."""
    return [None for _ in values]


def outputs(program: Program) -> list[Var]:
    """The floating-point results of all equations, in order."""
    return [out for equation in program.jaxpr.eqns for out in equation.outvars if is_floating(out)]


def first_cause(program: Program, bad: set[Var], ends: Sequence[Var]) -> int | Var | None:
    """Follow bad values back from the results to what first made one.

    Returns the index of an equation with a bad result and good operands, or an operand of the
    program that is bad itself, or None when the ends are good.
    """
    producers = {
        out: index for index, equation in enumerate(program.jaxpr.eqns) for out in equation.outvars
    }
    pending = [end for end in ends if end in bad]
    seen = set(pending)
    causes: list[int] = []
    arguments: list[Var] = []
    while pending:
        variable = pending.pop()
        if variable not in producers:
            arguments.append(variable)
            continue
        equation = program.jaxpr.eqns[producers[variable]]
        operands = [atom for atom in equation.invars if isinstance(atom, Var) and atom in bad]
        if not operands:
            causes.append(producers[variable])
        pending.extend(operand for operand in operands if operand not in seen)
        seen.update(operands)
    if causes:
        return min(causes)
    return arguments[0] if arguments else None


def run_watched(
    program: Program,
    consts: Sequence[Array],
    operands: Sequence[Array],
    masks: Sequence[Mask],
    trusts_literals: bool,
    look: Callable[[JaxprEqn, Seen], None],
) -> tuple[list[Array], list[Mask]]:
    """Evaluate a program as it stands, showing what stands around each equation."""
    jaxpr = program.jaxpr
    known: dict[Var, Array] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, operands, strict=True))
    marked: dict[Var, Mask] = dict(zip(jaxpr.invars, masks, strict=True))

    def read(atom: Var | Constant) -> Array:
        value: Array = atom.val if isinstance(atom, Constant) else known[atom]
        return value

    def mask_of(atom: Var | Constant) -> Mask:
        if isinstance(atom, Constant):
            return mask_of_literal(atom) if trusts_literals else None
        return marked.get(atom)

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        given = [mask_of(atom) for atom in equation.invars]
        with in_place_of(equation):
            results = repeat(equation, values)
            result_masks = masks_of_results(equation, values, given)
            look(equation, Seen(values, given, results, result_masks))
        known.update(zip(equation.outvars, results, strict=True))
        marked.update(zip(equation.outvars, result_masks, strict=True))
    return [read(atom) for atom in jaxpr.outvars], [mask_of(atom) for atom in jaxpr.outvars]


def compiled_run(
    program: Program, trusts_literals: bool = False
) -> Callable[..., tuple[list[Array], list[Mask]]]:
    """A compiled function of constants, operands and masks: the results and their masks."""

    def run(
        consts: Sequence[Array], operands: Sequence[Array], masks: Sequence[Mask]
    ) -> tuple[list[Array], list[Mask]]:
        return run_watched(program, consts, operands, masks, trusts_literals, lambda *_: None)

    compiled: Callable[..., tuple[list[Array], list[Mask]]] = jax.jit(run)
    return compiled

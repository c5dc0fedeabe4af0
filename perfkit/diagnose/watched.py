"""Finds bad values among the results of a traced program, and follows them back.

What :mod:`perfkit.diagnose.locate` searches with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Var

from perfkit.diagnose.declared import Mask, run_marked
from perfkit.diagnose.finding import Kind
from perfkit.guard.analysis.structure import Program, is_floating


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


def compiled_run(
    program: Program, trusts_literals: bool = False
) -> Callable[..., tuple[list[Array], list[Mask]]]:
    """A compiled function of constants, operands and masks: the results and their masks."""

    def run(
        consts: Sequence[Array], operands: Sequence[Array], masks: Sequence[Mask]
    ) -> tuple[list[Array], list[Mask]]:
        return run_marked(program, consts, operands, masks, trusts_literals=trusts_literals)

    compiled: Callable[..., tuple[list[Array], list[Mask]]] = jax.jit(run)
    return compiled

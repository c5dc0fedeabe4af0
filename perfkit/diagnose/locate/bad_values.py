"""Finds bad values, NaN or infinity, in a traced program, and follows them back to their cause.

A NaN that the model declares is not a bad value. :mod:`perfkit.diagnose.locate.function` searches
with these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Var

from perfkit.diagnose.locate.declared_nan import Mask, run_with_masks
from perfkit.diagnose.locate.finding import Kind
from perfkit.guard.analysis.structure import Program, is_floating


def bad_elements(kind: Kind, value: Array, mask: Mask) -> Array:
    """Return where a value is bad: a boolean array of its shape.

    Parameters
    ----------
    kind
        The kind of bad value.
    value
        A floating-point array.
    mask
        Elements that are declared to be NaN; an infinity is never declared.
    """
    bad = jnp.isnan(value) if kind == "nan" else jnp.isinf(value)
    return bad if mask is None or kind == "inf" else bad & ~mask


def has_bad_element(kind: Kind, value: Array, mask: Mask) -> bool:
    """Return whether any element of a value is bad; parameters as for :func:`bad_elements`."""
    floating = jnp.issubdtype(jnp.result_type(value), jnp.floating)
    return bool(floating) and bool(jnp.any(bad_elements(kind, jnp.asarray(value), mask)))


def unmasked(values: Sequence[object]) -> list[Mask]:
    """Return the masks of values in which no NaN is declared."""
    return [None for _ in values]


def floating_results(program: Program) -> list[Var]:
    """Return the floating-point results of all equations of a program, in order."""
    return [out for equation in program.jaxpr.eqns for out in equation.outvars if is_floating(out)]


def first_cause(program: Program, bad: set[Var], ends: Sequence[Var]) -> int | Var | None:
    """Follow bad values back from the results of a program to the cause.

    Parameters
    ----------
    program
        The program.
    bad
        Its values that have bad elements.
    ends
        The results from which to start.

    Returns
    -------
    int, Var or None
        Index of the first equation with a bad result and good operands; or an operand of the
        program that is bad itself; or None if the ends are good.
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
    """Compile a program to a function of constants, operands and masks.

    Parameters
    ----------
    program
        The program.
    trusts_literals
        As for :func:`perfkit.diagnose.locate.declared_nan.run_with_masks`.

    Returns
    -------
    Callable
        Returns the results and their masks.
    """

    def run(
        consts: Sequence[Array], operands: Sequence[Array], masks: Sequence[Mask]
    ) -> tuple[list[Array], list[Mask]]:
        return run_with_masks(program, consts, operands, masks, trusts_literals=trusts_literals)

    compiled: Callable[..., tuple[list[Array], list[Mask]]] = jax.jit(run)
    return compiled

"""Propagates differences that are rounding: from the subtraction to the guarded operand.

A difference *is rounding* if its magnitude is within its rounding bound. For each value that holds
a difference, this module computes a *cleaned* copy: the value that results if the differences that
are rounding are set to zero. The copy passes through the same operations as the value: scaling,
adding an epsilon, clamping. The program therefore decides what a difference of zero means.

Example: in ``sqrt(0.5 * (a - b) + 1e-5)`` with ``a - b = -1e-7`` and a bound of 1.2e-7, the cleaned
difference is 0, and the cleaned operand of ``sqrt`` is 1e-5.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.bounds import Rounding, bound_dtype, finite_reach, magnitude
from perfkit.guard.analysis.structure import repeat
from perfkit.guard.analysis.traits import SHAPE_OPERATIONS, SPLITS

_ELEMENT_BY_ELEMENT = frozenset(
    {
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "abs",
        "max",
        "min",
        "clamp",
        "convert_element_type",
        "reduce_precision",
    }
)
_JOINS = frozenset({"concatenate", "pad", "stack"})


class Operands(NamedTuple):
    """The operands of an equation.

    Attributes
    ----------
    values
        The operands.
    roundings
        The rounding of each operand.
    are_products
        For each operand, whether it is the result of a product.
    """

    values: Sequence[Array]
    roundings: Sequence[Rounding]
    are_products: Sequence[bool]


def propagate_rounding(
    equation: JaxprEqn,
    operands: Operands,
    results: Sequence[Array],
    bounds: Sequence[Array],
    is_difference: bool,
) -> list[Rounding]:
    """Return the rounding of an equation's results.

    Parameters
    ----------
    equation
        An equation whose results have known bounds.
    operands
        Its operands.
    results
        Its results.
    bounds
        The bounds of the results.
    is_difference
        Whether terms may cancel in it, see
        :func:`perfkit.guard.analysis.traits.makes_difference`.

    Notes
    -----
    A difference is not examined again where a term of it was set to zero already: the other term
    is then the epsilon of the program, however small it is compared with the rounding.
    """
    marks = _marks(equation, operands)
    if marks is None:
        if not is_difference:
            return [Rounding(bound) for bound in bounds]
        cleaned, was_cleaned = list(results), [jnp.zeros_like(bound) for bound in bounds]
    else:
        cleaned = _repeated(equation, operands, results)
        was_cleaned = [
            jnp.broadcast_to(mark, bound.shape).astype(bound.dtype)
            for mark, bound in zip(marks, bounds, strict=True)
        ]
        if equation.primitive.name == "select_n":
            was_cleaned = [_mark_of_selection(cleaned[0], operands, was_cleaned[0])]
    if is_difference:
        bound = bounds[0]
        is_rounding = ~(was_cleaned[0] > 0) & (magnitude(results[0]) <= finite_reach(bound))
        cleaned = [jnp.where(is_rounding, jnp.zeros((), cleaned[0].dtype), cleaned[0])]
        was_cleaned = [jnp.where(is_rounding, jnp.ones((), bound.dtype), was_cleaned[0])]
    return list(map(Rounding, bounds, cleaned, was_cleaned))


def _cleaned(operands: Operands) -> list[Array]:
    return [
        value if rounding.cleaned is None else rounding.cleaned
        for value, rounding in zip(operands.values, operands.roundings, strict=True)
    ]


def _repeated(equation: JaxprEqn, operands: Operands, results: Sequence[Array]) -> list[Array]:
    """Return the results for the cleaned operands.

    A product is not added a second time, because the compiler could then no longer contract the
    product with the addition. Instead, the change of the other term is added to the sum.
    """
    cleaned = _cleaned(operands)
    if equation.primitive.name not in ("add", "sub") or not any(operands.are_products):
        return repeat(equation, cleaned)
    changes = [
        jnp.zeros_like(value) if rounding.cleaned is None else rounding.cleaned - value
        for value, rounding in zip(operands.values, operands.roundings, strict=True)
    ]
    return [results[0] + repeat(equation, changes)[0]]


def _marks(equation: JaxprEqn, operands: Operands) -> list[Array] | None:
    """Return where an operand holds a difference that is rounding; None if none can."""
    if all(rounding.was_cleaned is None for rounding in operands.roundings):
        return None
    name = equation.primitive.name
    marks = [
        jnp.zeros(value.shape, bound_dtype(value.dtype))
        if rounding.was_cleaned is None
        else rounding.was_cleaned
        for value, rounding in zip(operands.values, operands.roundings, strict=True)
    ]
    if name in ("reduce_sum", "reduce_max", "reduce_min"):
        return [jnp.max(marks[0], axis=tuple(equation.params["axes"]), initial=0)]
    if name in SHAPE_OPERATIONS | SPLITS:
        return repeat(equation, [marks[0], *operands.values[1:]])
    if name in _JOINS:
        return repeat(equation, marks)
    if name == "select_n":
        return [functools.reduce(jnp.maximum, marks[1:])]
    if name in _ELEMENT_BY_ELEMENT:
        return [functools.reduce(jnp.maximum, marks)]
    return None


def _mark_of_selection(cleaned: Array, operands: Operands, mark: Array) -> Array:
    """Keep a mark only where ``select_n`` selected the largest of its cases.

    The value that decided the selection still had the rounding in it. If another case is larger,
    it may be the one with which the program keeps the value above zero.
    """
    largest = functools.reduce(jnp.maximum, _cleaned(operands)[1:])
    return jnp.where(cleaned >= largest, mark, 0)

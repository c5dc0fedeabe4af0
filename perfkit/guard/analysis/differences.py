"""What a value would be if the differences in it that are rounding were zero.

Followed forward from each difference to the guarded operand, through what the program does to
it on the way: scales it, adds an epsilon, clamps it. So the guard never decides for the program
what a difference of zero means.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.provenance import Rounding, bound_dtype, finite_reach, magnitude
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
    values, roundings
        The operands and what is known of their rounding.
    are_products
        Which are the results of products.
    """

    values: Sequence[Array]
    roundings: Sequence[Rounding]
    are_products: Sequence[bool]


def settle(
    equation: JaxprEqn,
    operands: Operands,
    results: Sequence[Array],
    bounds: Sequence[Array],
    is_difference: bool,
) -> list[Rounding]:
    """What is known of the rounding of an equation's results.

    Parameters
    ----------
    equation
        An equation whose results have known bounds.
    operands
        Its operands.
    results, bounds
        What it returned, and the bounds of that.
    is_difference
        Whether terms may cancel in it, by :func:`perfkit.guard.analysis.traits.makes_difference`.

    Notes
    -----
    A difference is not looked at again where something in it was zero already: what is added
    there is the program's epsilon, however small it is against the rounding.
    """
    marks = _marks(equation, operands)
    if marks is None:
        if not is_difference:
            return [Rounding(bound) for bound in bounds]
        settled, chosen = list(results), [jnp.zeros_like(bound) for bound in bounds]
    else:
        settled = _repeated(equation, operands, results)
        chosen = [
            jnp.broadcast_to(mark, bound.shape).astype(bound.dtype)
            for mark, bound in zip(marks, bounds, strict=True)
        ]
        if equation.primitive.name == "select_n":
            chosen = [_chosen_by_value(settled[0], operands, chosen[0])]
    if is_difference:
        bound = bounds[0]
        is_rounding = ~(chosen[0] > 0) & (magnitude(results[0]) <= finite_reach(bound))
        settled = [jnp.where(is_rounding, jnp.zeros((), settled[0].dtype), settled[0])]
        chosen = [jnp.where(is_rounding, jnp.ones((), bound.dtype), chosen[0])]
    return list(map(Rounding, bounds, settled, chosen))


def _settled(operands: Operands) -> list[Array]:
    return [
        value if rounding.settled is None else rounding.settled
        for value, rounding in zip(operands.values, operands.roundings, strict=True)
    ]


def _repeated(equation: JaxprEqn, operands: Operands, results: Sequence[Array]) -> list[Array]:
    """The results for the settled operands.

    A product is not added a second time, because the compiler could then no longer contract the
    product with the addition: the change of the other term is added to the sum instead.
    """
    settled = _settled(operands)
    if equation.primitive.name not in ("add", "sub") or not any(operands.are_products):
        return repeat(equation, settled)
    changes = [
        jnp.zeros_like(value) if rounding.settled is None else rounding.settled - value
        for value, rounding in zip(operands.values, operands.roundings, strict=True)
    ]
    return [results[0] + repeat(equation, changes)[0]]


def _marks(equation: JaxprEqn, operands: Operands) -> list[Array] | None:
    """Where a difference among the operands is rounding; None if the operands hold none."""
    if all(rounding.chosen is None for rounding in operands.roundings):
        return None
    name = equation.primitive.name
    marks = [
        jnp.zeros(value.shape, bound_dtype(value.dtype))
        if rounding.chosen is None
        else rounding.chosen
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


def _chosen_by_value(settled: Array, operands: Operands, chosen: Array) -> Array:
    """Keep a mark only where the program chose the largest of its cases.

    The choice was made by a value with the rounding still in it. If another case is larger, it
    may be what the program keeps the value above zero with.
    """
    largest = functools.reduce(jnp.maximum, _settled(operands)[1:])
    return jnp.where(settled >= largest, chosen, 0)

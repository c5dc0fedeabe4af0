"""Lifts operands that left their domain by rounding, element by element, and counts them.

An operand ``x`` of ``sqrt`` with rounding bound ``e`` is lifted to 0 if ``-2 e <= x < 0`` (the
factor is :data:`perfkit.guard.analysis.bounds.SAFETY`). If the program added an epsilon to the
difference, as in ``sqrt(a - b + 1e-5)``, the operand is lifted to that epsilon instead.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.bounds import Rounding, finite_reach
from perfkit.guard.analysis.domains import DOMAINS, FINITE_AT_ZERO
from perfkit.guard.analysis.structure import repeat


@dataclasses.dataclass(frozen=True)
class Lift:
    """What the guard does with one operand.

    Attributes
    ----------
    touched
        Which elements are replaced: bool, of the operand's shape.
    target
        What replaces them, of the operand's shape and dtype.
    lifted
        Number of elements that were outside the domain by rounding: int32 scalar.
    zeroed
        Number of elements that were inside and held a difference that was rounding: int32
        scalar.
    """

    touched: Array
    target: Array
    lifted: Array
    zeroed: Array


def find_lift(
    equation: JaxprEqn,
    values: Sequence[Array],
    rounding: Rounding,
    *,
    zero_rounding: bool,
    is_divisor: bool,
) -> Lift:
    """Find the elements of the first operand that are outside its domain by rounding.

    Their target is the value that the operand would have if the differences in it that are
    rounding were zero; that keeps an epsilon that the program added. If this value is outside
    the domain or further away than the rounding bound, the target is the edge of the domain.

    Parameters
    ----------
    equation
        An equation for which :func:`perfkit.guard.analysis.domains.needs_lift` holds.
    values
        Its operands.
    rounding
        The rounding of the first operand; each part has the operand's shape.
    zero_rounding
        Whether elements inside the domain are replaced, too, if they hold differences that are
        rounding (only if the edge is zero and the result there is finite).
    is_divisor
        Whether the program divides by the result. If so, no element inside the domain is
        replaced, see :mod:`perfkit.guard.analysis.poles`.
    """
    name = equation.primitive.name
    domain, operand = DOMAINS[name], values[0]
    known = operand.astype(rounding.bound.dtype)
    reach = finite_reach(rounding.bound)
    applies = jnp.array(True)
    if name == "pow" and jnp.issubdtype(values[1].dtype, jnp.floating):
        applies = values[1] != jnp.floor(values[1])
    cleaned = known if rounding.cleaned is None else rounding.cleaned.astype(known.dtype)
    near = jnp.abs(cleaned - known) <= reach
    touched = jnp.zeros(operand.shape, bool)
    target = cleaned
    if domain.low is not None:
        below = applies & (known < domain.low) & (known >= domain.low - reach)
        target = jnp.where(below & ~(near & (cleaned > domain.low)), domain.low, target)
        touched |= below
    if domain.high is not None:
        above = applies & (known > domain.high) & (known <= domain.high + reach)
        target = jnp.where(above, domain.high, target)
        touched |= above
    lifted = _count(touched)
    zeroed = jnp.zeros((), jnp.int32)
    zeroes = zero_rounding and name in FINITE_AT_ZERO and not is_divisor
    if zeroes and rounding.was_cleaned is not None:
        noise = applies & (known > 0) & (rounding.was_cleaned > 0) & near & (cleaned != known)
        noise &= cleaned >= 0
        touched |= noise
        zeroed = _count(noise)
    return Lift(touched, target.astype(operand.dtype), lifted, zeroed)


def apply_lift(equation: JaxprEqn, values: Sequence[Array], lift: Lift) -> list[Array]:
    """Return the results of an equation with the touched elements replaced.

    The derivative is that of the primitive at the replaced operand, with respect to the operand
    that the program computed. At an edge, every domain-limited primitive has an infinite
    derivative. An element that was moved there is held there, so its derivative is zero; in
    forward mode, zero times infinity would otherwise be NaN.
    """
    domain = DOMAINS[equation.primitive.name]

    def primitive(operand: Array, others: list[Array]) -> list[Array]:
        return repeat(equation, [operand, *others])

    @jax.custom_jvp
    def replaced(operand: Array, others: list[Array], touched: Array, target: Array) -> list[Array]:
        return primitive(lax.select(touched, target, operand), others)

    @replaced.defjvp
    def tangents(primals: Any, tangents: Any) -> tuple[list[Array], list[Array]]:
        operand, others, touched, target = primals
        operand = lax.select(touched, target, operand)
        on_edge = functools.reduce(operator.or_, [operand == edge for edge in domain.edges])
        held = touched & on_edge
        results = replaced(*primals)
        inside = lax.select(held, lax.full_like(operand, domain.interior_point), operand)
        change = jnp.where(held, jnp.zeros((), operand.dtype), tangents[0])
        _, changes = jax.jvp(primitive, (inside, others), (change, tangents[1]))
        result_tangents = [jnp.where(held, jnp.zeros((), t.dtype), t) for t in changes]
        return results, result_tangents

    results: list[Array] = replaced(values[0], list(values[1:]), lift.touched, lift.target)
    return results


def _count(where: Array) -> Array:
    return jnp.sum(where, dtype=jnp.int32)

"""The table of the domain guard: which operand of a primitive has which domain."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.provenance import Rounding, finite_reach
from perfkit.guard.analysis.structure import is_floating, repeat
from perfkit.guard.analysis.traits import Trait


@dataclasses.dataclass(frozen=True)
class Domain:
    """A closed interval outside of which a primitive's first operand gives NaN.

    Attributes
    ----------
    low, high
        The edges; None is unbounded. What lies on an edge is inside, also where the result
        is infinite there: the limit is the right answer.
    """

    low: float | None = None
    high: float | None = None


DOMAINS = {
    "sqrt": Domain(low=0.0),
    "rsqrt": Domain(low=0.0),
    "log": Domain(low=0.0),
    "log2": Domain(low=0.0),
    "log1p": Domain(low=-1.0),
    "pow": Domain(low=0.0),
    "acos": Domain(low=-1.0, high=1.0),
    "asin": Domain(low=-1.0, high=1.0),
    "atanh": Domain(low=-1.0, high=1.0),
    "acosh": Domain(low=1.0),
    "erf_inv": Domain(low=-1.0, high=1.0),
}
"""Primitive -> domain of its first operand. A power has it only for exponents that are no
integers. What JAX composes of these (``log10``, ``xlogy``, ``logit``, ``entr``, norms, random
normals) is guarded through them. Division has no entry: a divisor that underflowed, or whose
terms cancelled, says nothing of how large the quotient is, so there is no edge to put it on."""

_FINITE_AT_ZERO = frozenset({"sqrt", "pow"})
"""Where a difference that is rounding may become zero: at a pole, zero would make infinity of a
finite number, for example of a small random draw."""


@dataclasses.dataclass(frozen=True)
class Lift:
    """What the guard decided about an operand.

    Attributes
    ----------
    touched
        Which elements are replaced (bool, of the operand's shape).
    target
        What replaces them, of the operand's shape and type.
    lifted
        How many elements were out of the domain by rounding (int32).
    zeroed
        How many elements were inside, and held a difference that was rounding (int32).
    """

    touched: Array
    target: Array
    lifted: Array
    zeroed: Array


def needs_lift(equation: JaxprEqn, operands: Sequence[Trait], zero_rounding: bool) -> bool:
    """Whether rounding can take the first operand of an equation out of its domain.

    Parameters
    ----------
    equation
        Any equation.
    operands
        The traits of its operands.
    zero_rounding
        Whether differences that are rounding in either direction become zero: then operands
        that cannot be negative, because they were clamped, are looked at too.
    """
    domain = DOMAINS.get(equation.primitive.name)
    operand = equation.invars[0] if equation.invars else None
    if domain is None or not isinstance(operand, Var) or not is_floating(operand):
        return False
    if equation.primitive.name == "pow" and _integer_exponent(equation):
        return False
    if zero_rounding and equation.primitive.name in _FINITE_AT_ZERO:
        return operands[0].cancels
    if operands[0].nonnegative and domain.high is None:
        return domain.low is not None and domain.low > 0
    return operands[0].cancels or domain.low != 0.0


def lift(
    equation: JaxprEqn,
    values: Sequence[Array],
    rounding: Rounding,
    *,
    zero_rounding: bool,
    divides: bool,
) -> Lift:
    """Find the elements of the first operand that are out of its domain by rounding.

    They are replaced by what the operand would be if the differences in it that are rounding
    were zero: the program's own epsilon, where it added one. Where no such value is in the
    domain and within the rounding bound, the domain's edge is.

    Parameters
    ----------
    equation
        An equation for which :func:`needs_lift` holds.
    values
        Its operands.
    rounding
        What is known of the rounding of the first operand, all of its shape.
    zero_rounding
        Whether operands inside of the domain are replaced too where they hold differences that
        are rounding (only where zero is the edge and the result there is finite).
    divides
        Whether something is divided by the result: then nothing inside of the domain is
        replaced, see :mod:`perfkit.guard.analysis.poles`.
    """
    name = equation.primitive.name
    domain, operand = DOMAINS[name], values[0]
    known = operand.astype(rounding.bound.dtype)
    reach = finite_reach(rounding.bound)
    applies = jnp.array(True)
    if name == "pow" and jnp.issubdtype(values[1].dtype, jnp.floating):
        applies = values[1] != jnp.floor(values[1])
    settled = known if rounding.settled is None else rounding.settled.astype(known.dtype)
    near = jnp.abs(settled - known) <= reach
    touched = jnp.zeros(operand.shape, bool)
    target = settled
    if domain.low is not None:
        below = applies & (known < domain.low) & (known >= domain.low - reach)
        target = jnp.where(below & ~(near & (settled > domain.low)), domain.low, target)
        touched |= below
    if domain.high is not None:
        above = applies & (known > domain.high) & (known <= domain.high + reach)
        target = jnp.where(above, domain.high, target)
        touched |= above
    lifted = _count(touched)
    zeroed = jnp.zeros((), jnp.int32)
    zeroes = zero_rounding and name in _FINITE_AT_ZERO and not divides
    if zeroes and rounding.chosen is not None:
        noise = applies & (known > 0) & (rounding.chosen > 0) & near & (settled != known)
        noise &= settled >= 0
        touched |= noise
        zeroed = _count(noise)
    return Lift(touched, target.astype(operand.dtype), lifted, zeroed)


def apply_lifted(equation: JaxprEqn, values: Sequence[Array], found: Lift) -> list[Array]:
    """The results of an equation with the elements that were found replaced.

    Derivatives are those of the primitive at the replaced operand, with respect to the operand
    as the program computed it. On an edge every domain-limited primitive has an infinite
    derivative; an element that was put there is held there, so its derivative is zero. Without
    that, zero times infinity would be NaN in forward mode.
    """
    domain = DOMAINS[equation.primitive.name]
    edges = [edge for edge in (domain.low, domain.high) if edge is not None]

    def primitive(operand: Array, others: list[Array]) -> list[Array]:
        return repeat(equation, [operand, *others])

    @jax.custom_jvp
    def replaced(operand: Array, others: list[Array], touched: Array, target: Array) -> list[Array]:
        return primitive(lax.select(touched, target, operand), others)

    @replaced.defjvp
    def tangents(primals: Any, tangents: Any) -> tuple[list[Array], list[Array]]:
        operand, others, touched, target = primals
        operand = lax.select(touched, target, operand)
        held = touched & functools.reduce(operator.or_, [operand == edge for edge in edges])
        results = replaced(*primals)
        inside = lax.select(held, lax.full_like(operand, _inside(domain)), operand)
        change = jnp.where(held, jnp.zeros((), operand.dtype), tangents[0])
        _, changes = jax.jvp(primitive, (inside, others), (change, tangents[1]))
        kept = [jnp.where(held, jnp.zeros((), one.dtype), one) for one in changes]
        return results, kept

    results: list[Array] = replaced(values[0], list(values[1:]), found.touched, found.target)
    return results


def _inside(domain: Domain) -> float:
    """A number inside of a domain, where all derivatives are finite."""
    if domain.low is None:
        return 0.0
    return domain.low + 1.0 if domain.high is None else (domain.low + domain.high) / 2


def _integer_exponent(equation: JaxprEqn) -> bool:
    exponent = equation.invars[1]
    if isinstance(exponent, Literal):
        return bool(float(exponent.val).is_integer())
    return not is_floating(exponent)


def _count(where: Array) -> Array:
    return jnp.sum(where, dtype=jnp.int32)

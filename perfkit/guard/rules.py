"""The table of the domain guard: which operand of a primitive has which domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.provenance import float_limits
from perfkit.guard.structure import is_floating
from perfkit.guard.traits import Trait

SAFETY = 2.0
"""Rounding bounds are doubled: a bound counts each operation once, while compilers contract,
reassociate and approximate, and the reciprocal in a quotient rounds once more."""


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
integers. Division is apart: see :func:`lift_divisor`. What JAX composes of these (``log10``,
``xlogy``, ``logit``, ``entr``, norms, random normals) is guarded through them."""

_FINITE_AT_ZERO = frozenset({"sqrt", "pow"})
"""Where a difference that is rounding may become zero: at a pole, zero would make infinity of a
finite number, for example of a small random draw."""

_PRODUCTS = frozenset({"mul", "square", "integer_pow"})


@dataclasses.dataclass(frozen=True)
class Lift:
    """An operand after the guard has looked at it.

    Attributes
    ----------
    operand
        The operand, with what was out by rounding put on the edge.
    lifted
        How many elements were out of the domain by rounding (int32).
    zeroed
        How many elements were inside, but positive by rounding only, and became zero (int32).
    """

    operand: Array
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
    bound: Array,
    floor: float,
    zero_rounding: bool,
) -> Lift:
    """Put the elements of the first operand that are out by rounding on the domain's edge.

    Parameters
    ----------
    equation
        An equation for which :func:`needs_lift` holds.
    values
        Its operands.
    bound
        The rounding bound of the first operand, of its shape.
    floor
        The constants that the program added to a difference to keep it above zero; where zero
        is the edge, the difference is lifted to zero, and the operand to the floor.
    zero_rounding
        Whether operands within the bound of zero become exactly zero in either direction
        (only where zero is the edge and the result there is finite).
    """
    domain, operand = DOMAINS[equation.primitive.name], values[0]
    known = operand.astype(bound.dtype)
    reach = jnp.where(jnp.isfinite(bound), SAFETY * bound, 0)
    applies = jnp.array(True)
    if equation.primitive.name == "pow" and jnp.issubdtype(values[1].dtype, jnp.floating):
        applies = values[1] != jnp.floor(values[1])
    lifted, zeroed = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    if domain.low is not None:
        below = applies & (known < domain.low) & (known >= domain.low - reach)
        operand = _put(below, domain.low or floor, operand)
        lifted += _count(below)
    if domain.high is not None:
        above = applies & (known > domain.high) & (known <= domain.high + reach)
        operand = _put(above, domain.high, operand)
        lifted += _count(above)
    if zero_rounding and equation.primitive.name in _FINITE_AT_ZERO:
        noise = applies & (known > 0) & (known <= reach)
        operand = _put(noise, 0.0, operand)
        zeroed = _count(noise)
    return Lift(operand, lifted, zeroed)


def divisor_place(equation: JaxprEqn) -> int | None:
    """Which operand of an equation is a divisor, if any is."""
    name = equation.primitive.name
    if name in ("div", "rem"):
        return 1
    return 0 if name == "integer_pow" and equation.params["y"] < 0 else None


def divides_by_product(equation: JaxprEqn, producer: JaxprEqn | None) -> bool:
    """Whether an equation divides by a floating-point product, which may underflow to zero."""
    if divisor_place(equation) is None or producer is None:
        return False
    if producer.primitive.name == "integer_pow" and producer.params["y"] <= 0:
        return False
    return producer.primitive.name in _PRODUCTS and is_floating(equation.outvars[0])


def lift_divisor(divisor: Array, producer: JaxprEqn, factors: Sequence[Array]) -> Lift:
    """Put divisors that underflowed to zero on the smallest normal number of their sign.

    Zero is outside the domain of division, and a product of factors that are not zero is zero
    by rounding only. A divisor that is zero because a factor is zero, or because equal terms
    cancelled, is left alone: there is no edge that it could have come from.

    Parameters
    ----------
    divisor
        The divisor.
    producer
        The equation that multiplied the divisor.
    factors
        The operands of ``producer``.
    """
    powers = producer.params.get("y", 2) if len(factors) == 1 else 1
    sign = jnp.sign(factors[0]) ** powers if len(factors) == 1 else _sign_of_product(factors)
    underflowed = (divisor == 0) & (sign != 0)
    edge = (sign * float(float_limits(divisor.dtype).tiny)).astype(divisor.dtype)
    edge = jnp.broadcast_to(edge, divisor.shape)
    operand = lax.select(jnp.broadcast_to(underflowed, divisor.shape), edge, divisor)
    return Lift(operand, _count(underflowed), jnp.zeros((), jnp.int32))


def _sign_of_product(factors: Sequence[Array]) -> Array:
    return jnp.sign(factors[0]) * jnp.sign(factors[1])


def _integer_exponent(equation: JaxprEqn) -> bool:
    exponent = equation.invars[1]
    if isinstance(exponent, Literal):
        return bool(float(exponent.val).is_integer())
    return not is_floating(exponent)


def _put(where: Array, edge: float, operand: Array) -> Array:
    where = jnp.broadcast_to(where, operand.shape)
    return lax.select(where, lax.full_like(operand, edge), operand)


def _count(where: Array) -> Array:
    return jnp.sum(where, dtype=jnp.int32)

"""Rounding bounds: how far rounding may have moved each element of a value.

The guarded program computes its bounds while it runs. They decide, element by element, whether an
operand left its domain by rounding. A bound is a running error bound: each operation adds half a
unit in the last place of its result to the bounds of its operands (N. J. Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., 2002, section 3.3).

Example in float32, whose unit roundoff is u = 6e-8: the inputs ``a = b = 100`` have the bound
100 u = 6e-6 each, and their difference has the bound 1.2e-5. A result of -7.6e-6
may therefore be rounding; a result of -0.5 may not.

The bound of a product or quotient is computed from its operands and never from the result. A
second use of a product keeps the compiler from contracting it into a fused multiply-add, and the
guard must not change the rounding that it observes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import Array, lax
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.structure import repeat
from perfkit.guard.analysis.traits import SHAPE_OPERATIONS, SPLITS, Trait, same_operand

SAFETY = 2.0
"""Factor on every bound. A bound counts each operation once, while compilers contract,
reassociate and approximate, and the reciprocal in a quotient rounds once more."""

_PRODUCTS = frozenset({"mul", "div", "square", "integer_pow"})
"""Primitives that a compiler computes as products. A quotient is one of them, because XLA replaces
division by a constant with multiplication by its reciprocal."""


class Rounding(NamedTuple):
    """The rounding in a value; all arrays have the shape of the value.

    Attributes
    ----------
    bound
        How far rounding may have moved each element, in :func:`bound_dtype`.
    cleaned
        The value that results if each difference in it that is rounding is set to zero, or None
        if the value holds no difference.
    was_cleaned
        Above zero where such a difference was found, in the dtype of ``bound``; None if the value
        holds no difference. Elsewhere ``cleaned`` equals the value, up to how the compiler
        rounded it.
    """

    bound: Array
    cleaned: Array | None = None
    was_cleaned: Array | None = None


def finite_reach(bound: Array) -> Array:
    """Return the bound times :data:`SAFETY`; 0 where it is infinite, so that nothing is lifted."""
    return jnp.where(jnp.isfinite(bound), SAFETY * bound, 0)


def bound_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of the bounds of a dtype: float64 for float64, else float32."""
    return np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)


def float_limits(dtype: Any) -> Any:
    """Return ``numpy.finfo`` of a dtype, including bfloat16 and the float8 dtypes."""
    lookup: Any = ml_dtypes.finfo
    return lookup(dtype)


def unit_roundoff(dtype: Any) -> float:
    """Return half a unit in the last place of 1; 0 for dtypes that are not floating-point."""
    return float(float_limits(dtype).eps) / 2 if jnp.issubdtype(dtype, jnp.floating) else 0.0


def magnitude(value: Array) -> Array:
    """Return ``|value|`` in the dtype of its bound."""
    return jnp.abs(value).astype(bound_dtype(value.dtype))


def representation_bound(value: Array) -> Array:
    """Return the bound of a value from its own precision alone."""
    return unit_roundoff(value.dtype) * magnitude(value)


def carries_bounds(equation: JaxprEqn) -> bool:
    """Return whether the bounds of the results follow from those of the operands."""
    name = equation.primitive.name
    if name == "integer_pow":
        return bool(equation.params["y"] > 0)
    return name in _BOUND_RULES or name in SPLITS


def sums_nonnegative_terms(equation: JaxprEqn, operands: Sequence[Trait]) -> bool:
    """Return whether an equation sums terms that are nonnegative, so that none cancel."""
    return (
        equation.primitive.name == "reduce_sum"
        and operands[0].nonnegative
        and not operands[0].cancels
    )


def is_product(equation: JaxprEqn) -> bool:
    """Return whether a compiler may contract the equation with an addition of its result."""
    return equation.primitive.name in _PRODUCTS and carries_bounds(equation)


def is_square(equation: JaxprEqn) -> bool:
    """Return whether the result is an even power of one operand."""
    name = equation.primitive.name
    if name == "integer_pow":
        return bool(equation.params["y"] % 2 == 0)
    return name == "square" or (name == "mul" and same_operand(equation))


def sum_bound_from_result(terms: int, result: Array) -> Array:
    """Return the bound of a sum in which little cancels: a multiple of the sum.

    Each term may be a product of two rounded values, which adds 3 units; the additions count as
    in any sum (see ``_sum_growth``). Going back to the terms would cost another pass over the
    largest arrays of a model, such as the activations before each layer norm. The planner
    decides where this bound is enough: where no term is negative, and where the sum is squared.
    In ``mean(x**2) - mean(x)**2``, a mean that is small compared with its terms has a square that
    is negligible compared with theirs.

    Parameters
    ----------
    terms
        Number of terms of each sum.
    result
        The sums.
    """
    units = 3 + _sum_growth(terms)
    return units * representation_bound(result)


def result_bounds(
    equation: JaxprEqn,
    values: Sequence[Array],
    bounds: Sequence[Array],
    results: Sequence[Array],
) -> list[Array]:
    """Return the bounds of an equation's results.

    Parameters
    ----------
    equation
        An equation for which :func:`carries_bounds` holds.
    values, bounds
        The operands and their bounds, in the equation's order.
    results
        The results of the equation.

    Returns
    -------
    list of Array
        One bound for each result, of its shape, in :func:`bound_dtype`.
    """
    if equation.primitive.name in SPLITS:
        return repeat(equation, bounds)
    result = results[0]
    bound = _BOUND_RULES[equation.primitive.name](equation, values, bounds, result)
    return [jnp.broadcast_to(bound, result.shape).astype(bound_dtype(result.dtype))]


def _sum_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    return bounds[0] + bounds[1] + representation_bound(result)


def _product_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    first, second = magnitude(values[0]), magnitude(values[1])
    rounding = unit_roundoff(result.dtype)
    return (bounds[0] + rounding * first) * second + bounds[1] * first


def _quotient_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    """Return infinity where the divisor may be zero: the quotient may have any size and sign."""
    numerator, divisor = magnitude(values[0]), magnitude(values[1])
    rounding = unit_roundoff(result.dtype)
    bound = (bounds[0] + numerator * (bounds[1] / divisor + rounding)) / divisor
    return jnp.where(SAFETY * bounds[1] < divisor, bound, jnp.inf)


def _power_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    exponent = equation.params.get("y", 2)
    base = magnitude(values[0])
    factor: Array = exponent * (bounds[0] + unit_roundoff(result.dtype) * base)
    return jnp.multiply(factor, base ** (exponent - 1))


def _one_minus_square_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    return _power_bound(equation, values, bounds, result) + representation_bound(result)


def _sum_growth(terms: int) -> float:
    """Return sqrt(n), by which the errors of n additions grow.

    N. J. Higham and T. Mary, SIAM J. Sci. Comput. 41 (2019) A2815.
    """
    return math.sqrt(max(terms, 1))


def _reduced_sum_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    growth = _sum_growth(values[0].size // max(result.size, 1)) * unit_roundoff(result.dtype)
    return jnp.sum(bounds[0] + growth * magnitude(values[0]), axis=equation.params["axes"])


def _dot_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    contracted = equation.params["dimension_numbers"][0][0]
    terms = math.prod(values[0].shape[axis] for axis in contracted)
    units = unit_roundoff(values[0].dtype) + unit_roundoff(values[1].dtype)
    units += (1 + _sum_growth(terms)) * unit_roundoff(result.dtype)
    terms_together = repeat(equation, [jnp.abs(value) for value in values])[0]
    return units * magnitude(terms_together)


def _running_sum_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    growth = _sum_growth(values[0].shape[equation.params["axis"]]) * unit_roundoff(result.dtype)
    return repeat(equation, [bounds[0] + growth * magnitude(values[0])])[0]


def _moved_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    return repeat(equation, [bounds[0], *values[1:]])[0]


def _joined_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    return repeat(equation, bounds)[0]


def _same_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    return bounds[0]


def _converted_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    bound = bounds[0].astype(bound_dtype(result.dtype))
    if unit_roundoff(result.dtype) > unit_roundoff(values[0].dtype):
        return bound + representation_bound(result)
    return bound


def _reduced_precision_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    rounding: float = 0.5 ** (equation.params["mantissa_bits"] + 1)
    return bounds[0] + rounding * magnitude(result)


def _extreme_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    """Return how far either of two operands may reach past the one that was selected.

    An operand that is far from the selected one does not matter, however uncertain it is.
    """
    behind = [magnitude(result - value) for value in values]
    return jnp.maximum(bounds[0] - behind[0], bounds[1] - behind[1])


def _reduced_extreme_bound(
    equation: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    axes = tuple(equation.params["axes"])
    behind = magnitude(jnp.expand_dims(result, axes) - values[0])
    return jnp.max(bounds[0] - behind, axis=axes)


def _selected_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    cases = [jnp.broadcast_to(bound, result.shape) for bound in bounds[1:]]
    return lax.select_n(values[0], *cases)


def _clamped_bound(
    _: JaxprEqn, values: Sequence[Array], bounds: Sequence[Array], result: Array
) -> Array:
    return bounds[1]


_BoundRule = Callable[[JaxprEqn, Sequence[Array], Sequence[Array], Array], Array]

_BOUND_RULES: dict[str, _BoundRule] = {
    "add": _sum_bound,
    "sub": _sum_bound,
    "mul": _product_bound,
    "div": _quotient_bound,
    "square": _power_bound,
    "integer_pow": _power_bound,
    "one_minus_square": _one_minus_square_bound,
    "reduce_sum": _reduced_sum_bound,
    "dot_general": _dot_bound,
    "cumsum": _running_sum_bound,
    "neg": _same_bound,
    "abs": _same_bound,
    "reduce_precision": _reduced_precision_bound,
    "convert_element_type": _converted_bound,
    "max": _extreme_bound,
    "min": _extreme_bound,
    "select_n": _selected_bound,
    "clamp": _clamped_bound,
    "concatenate": _joined_bound,
    "pad": _joined_bound,
    "stack": _joined_bound,
    **dict.fromkeys(SHAPE_OPERATIONS, _moved_bound),
    "reduce_max": _reduced_extreme_bound,
    "reduce_min": _reduced_extreme_bound,
}

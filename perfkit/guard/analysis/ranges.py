"""Ranges: between which two numbers all elements of a value lie, whatever the arguments are.

Ranges start from the constants of a program (literals, noise schedules, counters) and from what a
primitive can return at all. They show that some operands cannot leave their domain: a uniform draw
lies in (-1, 1), so that the ``erf_inv`` of a normal draw needs no guard.

This is interval arithmetic with outward rounding (R. E. Moore, R. B. Kearfott and M. J. Cloud,
Introduction to Interval Analysis, 2009, chapter 2). A result that the dtype cannot represent is
taken for either of its neighbours, so the ranges hold for every rounding mode and for products that
a compiler contracts with an addition. Functions such as ``exp`` may be off by
:data:`APPROXIMATION_UNITS`. Elements that are NaN are not considered: the guard leaves them alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.extend.core import JaxprEqn

APPROXIMATION_UNITS = 4.0
"""Units in the last place by which a compiler's elementary function, quotient or root may be off.
XLA's own tests allow less for float32."""


class Range(NamedTuple):
    """A closed interval that holds every element that is a number.

    Attributes
    ----------
    low, high
        The ends; infinite if nothing is known.
    """

    low: float = -math.inf
    high: float = math.inf

    def join(self, other: Range) -> Range:
        """Return the smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def widen(self, other: Range) -> Range:
        """Return a range that holds both, whose ends moved to infinity if they moved at all.

        The value of a loop may grow in every iteration; its range must not take as many steps.
        """
        low = self.low if other.low >= self.low else -math.inf
        return Range(low, self.high if other.high <= self.high else math.inf)

    def is_within(self, low: float | None, high: float | None) -> bool:
        """Return whether no element is outside two edges; None means that there is no edge."""
        return (low is None or self.low >= low) and (high is None or self.high <= high)


ANYWHERE = Range()

_ROUNDED_DTYPES = tuple(map(np.dtype, (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)))


def range_of_array(array: Any) -> Range:
    """Return the range of a constant array; :data:`ANYWHERE` if it holds no number."""
    values = np.asarray(array).astype(np.float64)
    values = values[~np.isnan(values)]
    return Range(float(values.min()), float(values.max())) if values.size else ANYWHERE


def range_of_result(equation: JaxprEqn, operands: Sequence[Range]) -> Range:
    """Return the range of an equation's results, given those of its operands."""
    dtype = getattr(equation.outvars[0].aval, "dtype", None)
    if dtype is None or not (jnp.issubdtype(dtype, jnp.number) or dtype == np.bool_):
        return ANYWHERE
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return ANYWHERE
    rule = _RULES.get(equation.primitive.name)
    known = [_in_dtype(atom, own) for atom, own in zip(equation.invars, operands, strict=True)]
    found = ANYWHERE if rule is None else rule(equation, known)
    if math.isnan(found.low) or math.isnan(found.high):
        found = ANYWHERE
    if not jnp.issubdtype(dtype, jnp.floating):
        return _of_integers(found, dtype)
    if found == ANYWHERE or dtype not in _ROUNDED_DTYPES:
        return ANYWHERE
    inexact = equation.primitive.name in _APPROXIMATED
    return _outward(found, dtype, APPROXIMATION_UNITS if inexact else 0.0)


def _limits(dtype: Any) -> Range:
    if dtype == np.bool_:
        return Range(0.0, 1.0)
    limits: Any = jnp.iinfo(dtype)
    return Range(float(limits.min), float(limits.max))


def _in_dtype(atom: Any, known: Range) -> Range:
    """Return the range of an operand; integers also have that of their dtype."""
    dtype = getattr(atom.aval, "dtype", None)
    if dtype is None or not (jnp.issubdtype(dtype, jnp.integer) or dtype == np.bool_):
        return known
    limits = _limits(dtype)
    return Range(max(known.low, limits.low), min(known.high, limits.high))


def _of_integers(found: Range, dtype: Any) -> Range:
    """Return the range of integers; a result that may not fit wraps around to any of them."""
    limits = _limits(dtype)
    return found if found.is_within(limits.low, limits.high) else limits


def _outward(found: Range, dtype: Any, units: float) -> Range:
    """Round the ends of a range outward to numbers of a dtype.

    Parameters
    ----------
    found
        The range of the exact results.
    dtype
        A floating-point dtype.
    units
        Further units in the last place by which a result may be off.
    """
    info: Any = ml_dtypes.finfo(dtype)
    # An end in float64 is itself rounded.
    units += 1.0 if np.dtype(dtype) == np.float64 else 0.0
    margin = units * float(info.eps)
    low = found.low - margin * abs(found.low) if math.isfinite(found.low) else found.low
    high = found.high + margin * abs(found.high) if math.isfinite(found.high) else found.high
    # CPUs may flush numbers below the smallest normal one to zero.
    smallest = float(info.smallest_normal)
    low = 0.0 if 0 < low < smallest else low
    high = 0.0 if -smallest < high < 0 else high
    return Range(_neighbour(low, dtype, -math.inf), _neighbour(high, dtype, math.inf))


def _neighbour(number: float, dtype: Any, towards: float) -> float:
    """Return a number of a dtype that is equal, or the next one in a direction."""
    if math.isinf(number):
        return number
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        rounded = kind(number)
        if (float(rounded) - number) * math.copysign(1.0, towards) < 0:
            rounded = np.nextafter(rounded, kind(towards))
    return float(rounded)


def _hull(candidates: Sequence[float]) -> Range:
    if any(map(math.isnan, candidates)):
        return ANYWHERE
    return Range(min(candidates), max(candidates))


def _times(first: float, second: float) -> float:
    """Multiply two ends; zero times infinity is zero, as the other factor is a number."""
    return 0.0 if first == 0 or second == 0 else first * second


def _product(first: Range, second: Range) -> Range:
    return _hull([_times(one, other) for one in first for other in second])


def _terms(total: Range, count: int, unit: float) -> Range:
    """Return the range of a sum of ``count`` terms, each within ``total``.

    The error of a sum of n terms is at most n u times the sum of their magnitudes (Higham 2002,
    section 4.2), and a sum of terms that are not negative is not negative.
    """
    margin = count * unit * count * max(abs(total.low), abs(total.high))
    low, high = _times(count, total.low) - margin, _times(count, total.high) + margin
    low = max(low, 0.0) if total.low >= 0 else low
    return Range(low, min(high, 0.0) if total.high <= 0 else high)


def _unit(atom: Any) -> float:
    dtype = atom.aval.dtype
    return float(ml_dtypes.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0


_Rule = Callable[[JaxprEqn, Sequence[Range]], Range]


def _add(_: JaxprEqn, given: Sequence[Range]) -> Range:
    first, second = given
    low, high = first.low + second.low, first.high + second.high
    # float64 rounds as well; the ends must not move inward.
    if math.isfinite(low) and math.fsum((first.low, second.low, -low)) < 0:
        low = math.nextafter(low, -math.inf)
    if math.isfinite(high) and math.fsum((first.high, second.high, -high)) > 0:
        high = math.nextafter(high, math.inf)
    return Range(low, high)


def _sub(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    return _add(equation, [given[0], _neg(equation, given[1:])])


def _mul(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    if equation.invars[0] is equation.invars[1]:
        return _power(given[0], 2)
    return _product(*given)


def _div(_: JaxprEqn, given: Sequence[Range]) -> Range:
    numerator, divisor = given
    if divisor.low <= 0 <= divisor.high:
        return ANYWHERE
    return _product(numerator, Range(1 / divisor.high, 1 / divisor.low))


def _power(base: Range, exponent: int) -> Range:
    if exponent < 0:
        if base.low <= 0 <= base.high:
            return ANYWHERE
        return _power(Range(1 / base.high, 1 / base.low), -exponent)
    try:
        ends = _hull([base.low**exponent, base.high**exponent])
    except OverflowError:
        return ANYWHERE
    if exponent % 2 == 0 and base.low <= 0 <= base.high:
        return Range(0.0, ends.high)
    return ends


def _real_power(_: JaxprEqn, given: Sequence[Range]) -> Range:
    base, exponent = given
    if base.low <= 0 or math.isinf(base.high) or math.isinf(max(map(abs, exponent))):
        return Range(0.0, math.inf) if base.low >= 0 else ANYWHERE
    try:
        return _hull([one**other for one in base for other in exponent])
    except OverflowError:
        return Range(0.0, math.inf)


def _neg(_: JaxprEqn, given: Sequence[Range]) -> Range:
    return Range(-given[0].high, -given[0].low)


def _abs(_: JaxprEqn, given: Sequence[Range]) -> Range:
    low, high = given[0]
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Range(least, max(abs(low), abs(high)))


def _max(_: JaxprEqn, given: Sequence[Range]) -> Range:
    first, second = given
    return Range(max(first.low, second.low), max(first.high, second.high))


def _min(_: JaxprEqn, given: Sequence[Range]) -> Range:
    first, second = given
    return Range(min(first.low, second.low), min(first.high, second.high))


def _clamp(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    least, value, most = given
    return _min(equation, [_max(equation, [value, least]), most])


def _first(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    # An empty array has no largest element, and the least number there is takes its place.
    return given[0] if math.prod(equation.invars[0].aval.shape) else ANYWHERE


def _gather(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    """Return the range of selected elements; outside the array, floating-point ones are NaN."""
    fill = equation.params.get("fill_value")
    floating = jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.floating)
    return given[0] if fill is None and floating else ANYWHERE


def _join(_: JaxprEqn, given: Sequence[Range]) -> Range:
    joined = given[0]
    for one in given[1:]:
        joined = joined.join(one)
    return joined


def _join_but_first(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    return _join(equation, given[1:])


def _join_first_two(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    return _join(equation, given[:2])


def _sum(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    terms, result = equation.invars[0].aval, equation.outvars[0].aval
    count = math.prod(terms.shape) // max(math.prod(result.shape), 1)
    return _terms(given[0], count, _unit(equation.outvars[0]))


def _running_sum(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    count = equation.invars[0].aval.shape[equation.params["axis"]]
    whole = _terms(given[0], count, _unit(equation.outvars[0]))
    return whole.join(given[0])


def _dot(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    contracted = equation.params["dimension_numbers"][0][0]
    count = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    # A product may be computed in the lower precision of its factors.
    unit = sum(map(_unit, (*equation.invars, *equation.outvars)))
    return _terms(_product(*given), count, unit)


def _iota(equation: JaxprEqn, _: Sequence[Range]) -> Range:
    count = equation.params["shape"][equation.params["dimension"]]
    return Range(0.0, float(max(count - 1, 0)))


def _convert(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    (known,), dtype = given, equation.outvars[0].aval.dtype
    if dtype == np.bool_:
        return ANYWHERE
    if jnp.issubdtype(dtype, jnp.floating) or not all(map(math.isfinite, known)):
        return known
    return Range(float(math.trunc(known.low)), float(math.trunc(known.high)))


def _reduce_precision(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    margin = 0.5 ** equation.params["mantissa_bits"]
    if not all(map(math.isfinite, given[0])):
        return ANYWHERE
    low, high = given[0]
    return Range(low - margin * abs(low), high + margin * abs(high))


def _shift_right(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    value, places = given
    if value.low < 0 or places.low != places.high:
        return ANYWHERE
    divisor = 2.0**places.low
    return Range(math.floor(value.low / divisor), math.floor(value.high / divisor))


def _or(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    """Return the range of ``a | b``; exact if one is a constant whose bits are above the other."""
    constant, other = sorted(given, key=lambda known: known.high - known.low)
    if constant.low < 0 or other.low < 0 or math.isinf(other.high):
        return ANYWHERE
    bits = int(other.high).bit_length()
    if constant.low == constant.high and int(constant.low) % (1 << bits) == 0:
        return Range(constant.low + other.low, constant.low + other.high)
    most = (1 << max(bits, int(constant.high).bit_length())) - 1
    return Range(max(constant.low, other.low), float(most))


def _and(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    nonnegative = [known.high for known in given if known.low >= 0]
    return Range(0.0, min(nonnegative)) if nonnegative else ANYWHERE


def _bitcast(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    """Return the range of floating-point numbers with given bits; those above zero keep order."""
    source, target = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    low, high = given[0]
    is_plain = jnp.issubdtype(source, jnp.integer) and jnp.issubdtype(target, jnp.floating)
    if not is_plain or np.dtype(source).itemsize != np.dtype(target).itemsize or low < 0:
        return ANYWHERE
    bits = np.array([int(low), int(high)], f"u{np.dtype(source).itemsize}")
    largest = np.array([jnp.inf], target).view(bits.dtype)[0]
    return ANYWHERE if bits[1] >= largest else Range(*map(float, bits.view(target)))


def _increasing(function: Callable[[float], float], least: float = -math.inf) -> _Rule:
    """Make the rule of an increasing function, whose results are at least ``least``."""

    def at(number: float) -> float:
        with np.errstate(all="ignore"):
            return float(function(np.float64(number)))

    def rule(_: JaxprEqn, given: Sequence[Range]) -> Range:
        low, high = at(given[0].low), at(given[0].high)
        low = least if math.isnan(low) else max(low, least)
        return Range(low, math.inf if math.isnan(high) else high)

    return rule


def _rsqrt(_: JaxprEqn, given: Sequence[Range]) -> Range:
    low, high = given[0]
    most = 1 / math.sqrt(low) if 0 < low < math.inf else math.inf
    return Range(1 / math.sqrt(high) if 0 < high < math.inf else 0.0, most)


def _between(low: float, high: float) -> _Rule:
    return lambda equation, given: Range(low, high)


_APPROXIMATED = frozenset(
    {"div", "pow", "integer_pow", "sqrt", "rsqrt", "cbrt", "exp", "exp2", "expm1", "log", "log1p"}
    | {"tanh", "logistic", "erf", "sin", "cos", "atan"}
)
"""Primitives that a compiler approximates, or computes by several rounded operations."""

_MOVES = ("reshape", "broadcast_in_dim", "transpose", "squeeze", "expand_dims", "slice", "rev")
_SELECTS = ("copy", "copy_p", "dynamic_slice", "reduce_max", "reduce_min", "cummax", "cummin")

_RULES: dict[str, _Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "abs": _abs,
    "max": _max,
    "min": _min,
    "clamp": _clamp,
    "square": lambda equation, given: _power(given[0], 2),
    "integer_pow": lambda equation, given: _power(given[0], equation.params["y"]),
    "pow": _real_power,
    "sqrt": _increasing(np.sqrt, least=0.0),
    "rsqrt": _rsqrt,
    "cbrt": _increasing(np.cbrt),
    "exp": _increasing(np.exp, least=0.0),
    "exp2": _increasing(np.exp2, least=0.0),
    "expm1": _increasing(np.expm1),
    "log": _increasing(np.log),
    "log1p": _increasing(np.log1p),
    "tanh": _increasing(np.tanh),
    "logistic": _increasing(lambda x: 1 / (1 + np.exp(-x)), least=0.0),
    "atan": _increasing(np.arctan),
    "floor": _increasing(np.floor),
    "ceil": _increasing(np.ceil),
    "sign": _increasing(np.sign),
    "sin": _between(-1.0, 1.0),
    "cos": _between(-1.0, 1.0),
    "erf": _between(-1.0, 1.0),
    **dict.fromkeys((*_MOVES, *_SELECTS, "split", "unstack", "optimization_barrier"), _first),
    "gather": _gather,
    **dict.fromkeys(("concatenate", "stack", "pad", "sort"), _join),
    "select_n": _join_but_first,
    "dynamic_update_slice": _join_first_two,
    "reduce_sum": _sum,
    "cumsum": _running_sum,
    "dot_general": _dot,
    "iota": _iota,
    "convert_element_type": _convert,
    "reduce_precision": _reduce_precision,
    "shift_right_logical": _shift_right,
    "or": _or,
    "and": _and,
    "bitcast_convert_type": _bitcast,
}

"""The table of ranges: primitive -> range of its exact results, given those of its operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.interval import (
    ANYWHERE,
    Range,
    added,
    hull,
    negated,
    power,
    product,
    sum_of_terms,
)
from perfkit.guard.analysis.structure import dtype_of

Rule = Callable[[JaxprEqn, Sequence[Range]], Range]


def _shape(atom: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = atom.aval.shape
    return shape


def _unit(atom: Any) -> float:
    dtype, look_up = dtype_of(atom), cast(Any, ml_dtypes.finfo)
    return float(look_up(dtype).eps) if jnp.issubdtype(dtype, jnp.floating) else 0.0


def _add(_: JaxprEqn, given: Sequence[Range]) -> Range:
    return added(*given)


def _sub(_: JaxprEqn, given: Sequence[Range]) -> Range:
    return added(given[0], negated(given[1]))


def _mul(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    if equation.invars[0] is equation.invars[1]:
        return power(given[0], 2)
    return product(*given)


def _div(_: JaxprEqn, given: Sequence[Range]) -> Range:
    numerator, divisor = given
    if divisor.low <= 0 <= divisor.high:
        return ANYWHERE
    return product(numerator, Range(1 / divisor.high, 1 / divisor.low))


def _real_power(_: JaxprEqn, given: Sequence[Range]) -> Range:
    base, exponent = given
    if base.low <= 0 or math.isinf(base.high) or math.isinf(max(map(abs, exponent))):
        return Range(0.0, math.inf) if base.low >= 0 else ANYWHERE
    try:
        return hull([one**other for one in base for other in exponent])
    except OverflowError:
        return Range(0.0, math.inf)


def _neg(_: JaxprEqn, given: Sequence[Range]) -> Range:
    return negated(given[0])


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
    return given[0] if math.prod(_shape(equation.invars[0])) else ANYWHERE


def _gather(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    """Return the range of selected elements; outside the array, floating-point ones are NaN."""
    fill = equation.params.get("fill_value")
    floating = jnp.issubdtype(dtype_of(equation.outvars[0]), jnp.floating)
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
    terms, result = _shape(equation.invars[0]), _shape(equation.outvars[0])
    count = math.prod(terms) // max(math.prod(result), 1)
    return sum_of_terms(given[0], count, _unit(equation.outvars[0]))


def _running_sum(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    count = _shape(equation.invars[0])[equation.params["axis"]]
    whole = sum_of_terms(given[0], count, _unit(equation.outvars[0]))
    return whole.join(given[0])


def _dot(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    contracted = equation.params["dimension_numbers"][0][0]
    count = math.prod(_shape(equation.invars[0])[axis] for axis in contracted)
    # A product may be computed in the lower precision of its factors.
    unit = sum(map(_unit, (*equation.invars, *equation.outvars)))
    return sum_of_terms(product(*given), count, unit)


def _iota(equation: JaxprEqn, _: Sequence[Range]) -> Range:
    count = equation.params["shape"][equation.params["dimension"]]
    return Range(0.0, float(max(count - 1, 0)))


def _convert(equation: JaxprEqn, given: Sequence[Range]) -> Range:
    """Return the range of converted numbers; as an integer, NaN may be any number."""
    source, target = dtype_of(equation.invars[0]), dtype_of(equation.outvars[0])
    if jnp.issubdtype(target, jnp.floating):
        return given[0]
    to_integers = jnp.issubdtype(target, jnp.integer) and not jnp.issubdtype(source, jnp.floating)
    return given[0] if to_integers else ANYWHERE


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
    source, target = dtype_of(equation.invars[0]), dtype_of(equation.outvars[0])
    low, high = given[0]
    is_plain = jnp.issubdtype(source, jnp.integer) and jnp.issubdtype(target, jnp.floating)
    if not is_plain or np.dtype(source).itemsize != np.dtype(target).itemsize or low < 0:
        return ANYWHERE
    bits = np.array([int(low), int(high)], f"u{np.dtype(source).itemsize}")
    largest = np.array([jnp.inf], target).view(bits.dtype)[0]
    return ANYWHERE if bits[1] >= largest else Range(*map(float, bits.view(target)))


def _increasing(function: Callable[[float], float], least: float = -math.inf) -> Rule:
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


def _between(low: float, high: float) -> Rule:
    return lambda equation, given: Range(low, high)


APPROXIMATED = frozenset(
    {"div", "pow", "integer_pow", "sqrt", "rsqrt", "cbrt", "exp", "exp2", "expm1", "log", "log1p"}
    | {"tanh", "logistic", "erf", "sin", "cos", "atan"}
)
"""Primitives that a compiler approximates, or computes by several rounded operations."""

_MOVES = ("reshape", "broadcast_in_dim", "transpose", "squeeze", "expand_dims", "slice", "rev")
_SELECTS = ("copy", "copy_p", "dynamic_slice", "reduce_max", "reduce_min", "cummax", "cummin")

RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "abs": _abs,
    "max": _max,
    "min": _min,
    "clamp": _clamp,
    "square": lambda equation, given: power(given[0], 2),
    "integer_pow": lambda equation, given: power(given[0], equation.params["y"]),
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

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
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.interval import ANYWHERE, Range
from perfkit.guard.analysis.range_rules import APPROXIMATED, RULES
from perfkit.guard.analysis.structure import dtype_of

APPROXIMATION_UNITS = 4.0
"""Units in the last place by which a compiler's elementary function, quotient or root may be off.
XLA's own tests allow less for float32."""

_ROUNDED_DTYPES = tuple(map(np.dtype, (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)))


def range_of_array(array: Any) -> Range:
    """Return the range of a constant array; :data:`ANYWHERE` if it holds no number."""
    given = np.asarray(array)
    values = given.astype(np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return ANYWHERE
    found = Range(float(values.min()), float(values.max()))
    return _outward(found, given.dtype, 0.0) if given.dtype in _ROUNDED_DTYPES else found


def range_of_result(equation: JaxprEqn, operands: Sequence[Range]) -> Range:
    """Return the range of an equation's results, given those of its operands."""
    dtypes: set[Any] = set(map(dtype_of, equation.outvars))
    dtype = dtypes.pop()
    # One range stands for all results, whose dtypes may limit them differently.
    if dtypes or not _is_real(dtype) or not _has_known_shapes(equation):
        return ANYWHERE
    rule = RULES.get(equation.primitive.name)
    known = [_in_dtype(atom, own) for atom, own in zip(equation.invars, operands, strict=True)]
    found = ANYWHERE if rule is None else rule(equation, known)
    if math.isnan(found.low) or math.isnan(found.high):
        found = ANYWHERE
    if not jnp.issubdtype(dtype, jnp.floating):
        return _of_integers(found, dtype)
    if found == ANYWHERE or dtype not in _ROUNDED_DTYPES:
        return ANYWHERE
    units = APPROXIMATION_UNITS if equation.primitive.name in APPROXIMATED else 0.0
    # The ends are computed in float64, which rounds as often as a result in float64.
    return _outward(found, dtype, units + (dtype == np.float64))


def _has_known_shapes(equation: JaxprEqn) -> bool:
    """Return whether all shapes are numbers; programs that are exported may leave some open."""
    shapes = (getattr(atom.aval, "shape", ()) for atom in (*equation.invars, *equation.outvars))
    return all(isinstance(size, int) for shape in shapes for size in shape)


def _is_real(dtype: Any) -> bool:
    if dtype is None or jnp.issubdtype(dtype, jnp.complexfloating):
        return False
    return bool(dtype == np.bool_ or jnp.issubdtype(dtype, jnp.number))


def _limits(dtype: Any) -> Range:
    if dtype == np.bool_:
        return Range(0.0, 1.0)
    look_up: Any = jnp.iinfo
    limits = look_up(dtype)
    return Range(float(limits.min), float(limits.max))


def _in_dtype(atom: Any, known: Range) -> Range:
    """Return the range of an operand; integers also have that of their dtype."""
    dtype = dtype_of(atom)
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
    look_up: Any = ml_dtypes.finfo
    info = look_up(dtype)
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

"""Traits: what tracing shows of a value: its sign, its range, whether terms may cancel in it.

Traits decide where a guard is needed; they cost nothing when the program runs. For example
``x * x`` is nonnegative and needs no guard; ``a - b`` and ``jnp.maximum(a - b, 0)`` are
differences, in which terms may cancel.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Literal

from perfkit.guard.analysis.interval import ANYWHERE, Range
from perfkit.guard.analysis.ranges import range_of_array, range_of_result
from perfkit.guard.analysis.structure import dtype_of

LARGEST_CONSTANT_READ = 1 << 20
"""Number of elements up to which a constant array is read while tracing."""

SHAPE_OPERATIONS = frozenset(
    {
        "reshape",
        "broadcast_in_dim",
        "transpose",
        "squeeze",
        "expand_dims",
        "slice",
        "rev",
        "copy",
        "copy_p",
        "dynamic_slice",
        "gather",
        "reduce_max",
        "reduce_min",
    }
)
"""Primitives that move or select elements of their first operand; bounds move with them."""

SPLITS = frozenset({"split", "unstack"})
"""Primitives that return their operand in several pieces."""

_ADDS_TERMS = frozenset({"add", "sub", "one_minus_square", "reduce_sum", "dot_general", "cumsum"})
_ONE_OPERAND = (
    SHAPE_OPERATIONS | SPLITS | {"convert_element_type", "reduce_precision", "neg", "abs"}
)
_NONNEGATIVE_RESULT = frozenset({"abs", "square", "exp", "exp2", "logistic", "sqrt", "rsqrt"})
_KEEPS_NONNEGATIVE = frozenset(
    {"mul", "add", "div", "min", "dot_general", "concatenate", "stack", "pad"}
)
_KEEPS_FIRST_NONNEGATIVE = (
    SHAPE_OPERATIONS
    | SPLITS
    | {
        "convert_element_type",
        "reduce_precision",
        "reduce_sum",
        "cumsum",
        "cummax",
        "cumprod",
        "reduce_prod",
        "sort",
        "pow",
    }
)

_FOLDED: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "convert_element_type": float,
    "broadcast_in_dim": float,
}


@dataclasses.dataclass(frozen=True)
class Trait:
    """What tracing shows of a value.

    Attributes
    ----------
    nonnegative
        Whether no element is below zero, for any arguments; elements may be NaN.
    cancels
        Whether terms may cancel in it: the value is a difference, possibly scaled, reshaped or
        clamped.
    constant
        The number that every element equals, or None if that is not known.
    within
        The range of all elements.
    """

    nonnegative: bool = False
    cancels: bool = False
    constant: float | None = None
    within: Range = ANYWHERE

    def join(self, other: Trait) -> Trait:
        """Return the trait of a value that is one of two, for example in two branches."""
        return self._either(other, self.within.join(other.within))

    def widen(self, other: Trait) -> Trait:
        """Return the trait of a loop's carry: one of two, and possibly of many more."""
        return self._either(other, self.within.widen(other.within))

    def _either(self, other: Trait, within: Range) -> Trait:
        return Trait(
            self.nonnegative and other.nonnegative,
            self.cancels or other.cancels,
            self.constant if self.constant == other.constant else None,
            within,
        )


def trait_of_constant(value: Any) -> Trait:
    """Return the trait of a literal or constant of a traced program."""
    if isinstance(value, jax.core.Tracer):
        return Trait()
    array = np.asarray(value) if isinstance(value, (np.ndarray, np.generic, int, float)) else value
    is_numeric = isinstance(array, (np.ndarray, Array)) and jnp.issubdtype(array.dtype, jnp.number)
    if not is_numeric or array.size > LARGEST_CONSTANT_READ or np.iscomplexobj(array):
        return Trait()
    constant = float(np.asarray(array)) if array.ndim == 0 else None
    nonnegative = not bool(np.any(np.asarray(array) < 0))
    return Trait(nonnegative, constant=constant, within=range_of_array(array))


def trait_of_result(equation: JaxprEqn, operands: Sequence[Trait]) -> Trait:
    """Return the trait of an equation's results, given those of its operands."""
    name = equation.primitive.name
    dtype = dtype_of(equation.outvars[0])
    folded = _folded(name, [operand.constant for operand in operands])
    within = range_of_result(equation, [operand.within for operand in operands])
    if folded is not None:
        return Trait(nonnegative=not folded < 0, constant=folded, within=within)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        is_unsigned = dtype is not None and (
            jnp.issubdtype(dtype, jnp.unsignedinteger) or jnp.issubdtype(dtype, jnp.bool_)
        )
        nonnegative = is_unsigned or _nonnegative(name, equation, operands)
        return Trait(nonnegative, within=within)
    nonnegative = _nonnegative(name, equation, operands)
    cancels = _cancels(name, nonnegative, equation, operands)
    return Trait(nonnegative, cancels, within=within)


def _folded(name: str, constants: Sequence[float | None]) -> float | None:
    """Return the result of arithmetic on constants, such as the count in a variance, or None."""
    fold = _FOLDED.get(name)
    known = [constant for constant in constants if constant is not None]
    return fold(*known) if fold and len(known) == len(constants) else None


def _nonnegative(name: str, equation: JaxprEqn, operands: Sequence[Trait]) -> bool:
    signs = [operand.nonnegative for operand in operands]
    if name in _NONNEGATIVE_RESULT or name == "iota":
        return True
    if name == "integer_pow":
        return equation.params["y"] % 2 == 0 or signs[0]
    if name == "mul" and same_operand(equation):
        return True
    if name in ("max", "reduce_and", "reduce_or"):
        return any(signs)
    if name == "clamp":
        return signs[0] and signs[2]
    if name == "select_n":
        return all(signs[1:])
    if name in _KEEPS_NONNEGATIVE:
        return all(signs)
    return name in _KEEPS_FIRST_NONNEGATIVE and signs[0]


def _cancels(name: str, nonnegative: bool, equation: JaxprEqn, operands: Sequence[Trait]) -> bool:
    flags = [operand.cancels for operand in operands]
    if name in _ADDS_TERMS:
        return not nonnegative or any(flags)
    if name == "mul":
        return any(flags) and not same_operand(equation)
    if name == "integer_pow":
        return flags[0] and equation.params["y"] % 2 == 1
    if name in ("max", "min", "select_n", "clamp", "concatenate", "stack", "pad"):
        return any(flags)
    return (name in _ONE_OPERAND or name == "div") and flags[0]


def makes_difference(equation: JaxprEqn, operands: Sequence[Trait]) -> bool:
    """Return whether an equation is a difference: terms may cancel in the equation itself.

    ``a - b`` is a difference. The sum of a difference and a positive constant, as in
    ``(a - b) + 1e-5``, is not: the program adds the constant to keep the value above zero.
    """
    name = equation.primitive.name
    if name not in _ADDS_TERMS or _nonnegative(name, equation, operands):
        return False
    constants = [operand.constant for operand in operands]
    if name == "add":
        return not any(
            constant is not None and constant >= 0 and other.cancels
            for constant, other in zip(constants, reversed(operands), strict=True)
        )
    return not (name == "sub" and constants[1] is not None and constants[1] <= 0)


def same_operand(equation: JaxprEqn) -> bool:
    """Return whether both operands of an equation are the same variable."""
    first, second = equation.invars
    return first is second and not isinstance(first, Literal)

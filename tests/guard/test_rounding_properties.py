"""Guarded random programs return what rounding explains, and NaN where it explains nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array, lax
from numpy.typing import NDArray

from perfkit.guard.transform import guard
from tests.support.rounding_oracle import Oracle, Span

Tree = tuple[Any, ...]
Program = Callable[[Array, Array], Array]
Floats = NDArray[np.float32]

SIZE = 4
VALUES = (0.1, 0.7, 1.0, np.nextafter(np.float32(1), np.float32(2)), 3.3, 1000.1, 1000.2)
"""Few values, so that terms are often equal or neighbouring numbers."""

BINARY, CONSTANT = ("add", "sub", "mul", "div"), ("scale", "shift", "floor")
UNARY, LIMITED = ("square", "mean"), ("sqrt", "rsqrt", "log", "arccos")


class JaxOperations:
    """The operations of the oracle in JAX, the domain-limited ones inside control flow."""

    def __init__(self, nesting: str) -> None:
        self.nesting = nesting

    add, sub, mul, div = map(staticmethod, (lax.add, lax.sub, lax.mul, lax.div))
    square = staticmethod(lax.square)

    def scale(self, a: Array, factor: float) -> Array:
        return a * factor

    def shift(self, a: Array, by: float) -> Array:
        return a + by

    def floor(self, a: Array, at: float) -> Array:
        return jnp.maximum(a, at)

    def mean(self, a: Array) -> Array:
        return jnp.broadcast_to(jnp.mean(a), a.shape)

    def sqrt(self, a: Array) -> Array:
        return NESTINGS[self.nesting](jnp.sqrt)(a)

    def rsqrt(self, a: Array) -> Array:
        return NESTINGS[self.nesting](lax.rsqrt)(a)

    def log(self, a: Array) -> Array:
        return NESTINGS[self.nesting](jnp.log)(a)

    def arccos(self, a: Array) -> Array:
        return NESTINGS[self.nesting](jnp.arccos)(a)


Step = Callable[[Array], Array]


def _custom_jvp(step: Step) -> Step:
    wrapped = jax.custom_jvp(step)
    wrapped.defjvp(lambda primals, tangents: (wrapped(*primals), tangents[0]))
    return wrapped


NESTINGS: dict[str, Callable[[Step], Step]] = {
    "none": lambda step: step,
    "jit": lambda step: lambda x: jax.jit(step)(x),
    "scan": lambda step: lambda x: lax.scan(lambda c, s: (c, step(s)), 0, x[None])[1][0],
    "while": lambda step: (
        lambda x: lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, step(x)), (0, x))[1]
    ),
    "cond": lambda step: lambda x: lax.cond(x.size > 0, step, lambda y: y, x),
    "vmap": lambda step: jax.vmap(step),
    "remat": lambda step: jax.checkpoint(step),
    "custom_jvp": _custom_jvp,
}


def evaluate(tree: Tree, operations: Any, arguments: dict[str, Any]) -> Any:
    """Evaluate a tree with the operations of an arithmetic."""
    name, *rest = tree
    if name in arguments:
        return arguments[name]
    operands = [
        evaluate(part, operations, arguments) if isinstance(part, tuple) else part for part in rest
    ]
    return getattr(operations, name)(*operands)


LEAVES = st.sampled_from([("x",), ("y",)])
CONSTANTS = st.sampled_from([1e-5, 0.5, 1.0, 2.0])
DIFFERENCES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(BINARY), inner, inner),
        st.tuples(st.sampled_from(CONSTANT), inner, CONSTANTS),
        st.tuples(st.sampled_from(UNARY), inner),
    ),
    max_leaves=5,
)
OPERANDS = st.one_of(
    DIFFERENCES,
    st.tuples(st.just("sub"), DIFFERENCES, DIFFERENCES),
    DIFFERENCES.map(lambda d: ("sub", ("mean", ("square", d)), ("square", ("mean", d)))),
    DIFFERENCES.map(lambda d: ("shift", ("sub", d, d), 1e-5)),
    DIFFERENCES.map(lambda d: ("div", d, ("sqrt", ("mul", d, d)))),
)
TREES = st.one_of(
    st.tuples(st.sampled_from(LIMITED), OPERANDS),
    st.tuples(st.just("div"), DIFFERENCES, st.tuples(st.just("sqrt"), OPERANDS)),
    st.tuples(st.just("add"), DIFFERENCES, st.tuples(st.just("sqrt"), OPERANDS)),
)
ARGUMENTS = st.lists(st.sampled_from(VALUES), min_size=SIZE, max_size=SIZE)


def program_of(tree: Tree, nesting: str) -> Program:
    return lambda x, y: evaluate(tree, JaxOperations(nesting), {"x": x, "y": y})


def without_report(program: Program, zero_rounding: bool) -> Program:
    return lambda x, y: guard(program, zero_rounding=zero_rounding)(x, y)[0]


@pytest.mark.parametrize(("dtype", "roundoff"), [(np.float32, 2**-24), (ml_dtypes.bfloat16, 2**-8)])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(tree=TREES, nesting=st.sampled_from(sorted(NESTINGS)), x=ARGUMENTS, y=ARGUMENTS)
def test_a_guarded_program_differs_only_by_rounding(
    dtype: Any, roundoff: float, tree: Tree, nesting: str, x: list[float], y: list[float]
) -> None:
    arguments = [np.asarray(values, dtype) for values in (x, y)]
    program = program_of(tree, nesting)
    oracle = Oracle(roundoff)
    with np.errstate(all="ignore"):
        leaves = [oracle.leaf(values.astype(np.float64)) for values in arguments]
        span: Span = evaluate(tree, oracle, dict(zip("xy", leaves, strict=True)))
    for zero_rounding in (False, True):
        result, _ = jax.jit(guard(program, zero_rounding=zero_rounding))(*arguments)
        assert result.dtype == dtype
        found = np.asarray(result, np.float64)
        judged = ~span.free
        assert np.all(np.isnan(found[judged & span.bad]))
        reachable = (found >= span.low) & (found <= span.high)
        may_be_nan = np.isnan(span.exact) & np.isnan(found)
        assert np.all((reachable | may_be_nan)[judged & ~span.bad])


EXTREMES = (1e-40, 1e-30, 1e-20, 1.0, 1e20, 1e30, 3e38, 0.0, np.inf, np.nan)


SMALLEST_NORMAL = np.float32(2**-126)


def flushed(values: Floats) -> Floats:
    """Set denormal numbers to zero, as XLA does on CPUs."""
    return np.where(np.abs(values) < SMALLEST_NORMAL, np.float32(0), values)


class NumpyOperations:
    """The operations of the oracle in NumPy's float32, which contracts nothing."""

    def add(self, a: Floats, b: Floats) -> Floats:
        return flushed(a + b)

    def sub(self, a: Floats, b: Floats) -> Floats:
        return flushed(a - b)

    def mul(self, a: Floats, b: Floats) -> Floats:
        return flushed(a * b)

    def div(self, a: Floats, b: Floats) -> Floats:
        return flushed(a / b)

    def scale(self, a: Floats, factor: float) -> Floats:
        return flushed(a * np.float32(factor))

    def shift(self, a: Floats, by: float) -> Floats:
        return flushed(a + np.float32(by))

    def floor(self, a: Floats, at: float) -> Floats:
        return np.maximum(a, np.float32(at))

    def mean(self, a: Floats) -> Floats:
        return flushed(np.full_like(a, a.mean()))

    def square(self, a: Floats) -> Floats:
        return flushed(np.square(a))

    def sqrt(self, a: Floats) -> Floats:
        return np.sqrt(a)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(("sqrt", "log", "arccos", "rsqrt")),
    tree=DIFFERENCES,
    x=st.lists(st.sampled_from(EXTREMES), min_size=SIZE, max_size=SIZE),
    y=st.lists(st.sampled_from(EXTREMES), min_size=SIZE, max_size=SIZE),
)
def test_overflow_is_not_lifted(name: str, tree: Tree, x: list[float], y: list[float]) -> None:
    arguments = [np.asarray(values, np.float32) for values in (x, y)]
    with np.errstate(all="ignore"):
        leaves = dict(zip("xy", map(flushed, arguments), strict=True))
        operand = evaluate(tree, NumpyOperations(), leaves)
    out_of_range = ~np.isfinite(operand)
    limits = {"sqrt": np.inf, "log": np.inf, "arccos": np.nan, "rsqrt": 0.0}
    expected = np.where(operand[out_of_range] == np.inf, limits[name], np.nan)
    for zero_rounding in (False, True):
        run = guard(program_of((name, tree), "none"), zero_rounding=zero_rounding)
        result, _ = jax.jit(run)(*arguments)
        np.testing.assert_array_equal(np.asarray(result)[out_of_range], expected)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(tree=TREES, nesting=st.sampled_from(sorted(NESTINGS)), x=ARGUMENTS, y=ARGUMENTS)
def test_the_guard_makes_no_derivative_nan(
    tree: Tree, nesting: str, x: list[float], y: list[float]
) -> None:
    # The custom_jvp of NESTINGS has another derivative, and while has none in reverse mode.
    program = program_of(tree, "jit" if nesting in ("custom_jvp", "while") else nesting)
    arguments = [np.asarray(values, np.float32) for values in (x, y)]

    def total(run: Program) -> Callable[..., Any]:
        return lambda x, y: jnp.sum(run(x, y))

    def backward(run: Program) -> Any:
        return jax.jit(jax.grad(total(run), (0, 1)))(*arguments)

    def forward(run: Program) -> Any:
        ones = [np.ones(SIZE, np.float32)] * 2
        return jax.jit(lambda x, y: jax.jvp(run, (x, y), tuple(ones))[1])(*arguments)

    for zero_rounding in (False, True):
        guarded = without_report(program, zero_rounding)
        for derivative in (backward, forward):
            plain, found = np.asarray(derivative(program)), np.asarray(derivative(guarded))
            assert np.all(np.isfinite(found) | ~np.isfinite(plain))

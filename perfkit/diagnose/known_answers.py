"""Small programs whose answers are known in closed form or from NumPy.

Every program runs under ``jit`` with the flags of its process; see
:mod:`perfkit.diagnose.examination`. The module needs nothing but JAX and NumPy, so that it can
examine any environment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import ArrayLike

from perfkit.diagnose.diagnosis import Answer

FLOAT32_ULP = float(np.finfo(np.float32).eps)
"""Unit in the last place of 1 in float32."""


@dataclasses.dataclass(frozen=True)
class KnownAnswer:
    """A program whose answer is known.

    Attributes
    ----------
    name
        Unique name.
    question
        What the program computes and how its answer is known, for the table of answers.
    run
        Runs the program and compares its answer.
    """

    name: str
    question: str
    run: Callable[[], Answer]


def compare_elements(
    name: str, got: ArrayLike, expected: ArrayLike, relative: float = 0.0
) -> Answer:
    """Compare arrays element by element; NaN equals NaN.

    Parameters
    ----------
    name
        Name of the program.
    got, expected
        The answer and the known answer. Another shape is a wrong answer.
    relative
        Largest allowed relative difference.
    """
    ours = np.asarray(got, np.float64)
    known = np.asarray(expected, np.float64)
    if ours.shape != known.shape:
        return Answer(name, False, f"shape {ours.shape}, not {known.shape}")
    good = np.isclose(ours, known, rtol=relative, atol=0.0, equal_nan=True)
    if bool(np.all(good)):
        return Answer(name, True)
    first = tuple(int(index) for index in np.argwhere(~good)[0])
    wrong = int(np.count_nonzero(~good))
    return Answer(
        name,
        False,
        f"{wrong} of {good.size} elements; at {list(first)} {ours[first]:.10g}, "
        f"not {known[first]:.10g}",
    )


def _matrix_vector_reduction() -> Answer:
    rows = 32_769
    i = jnp.arange(rows, dtype=jnp.float32)
    x = jnp.stack((i, jnp.zeros_like(i), jnp.zeros_like(i)), axis=1)

    def squared_norms(x: Array) -> Array:
        matrix = jnp.eye(3, dtype=jnp.float32)
        return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(x)

    expected = np.arange(rows, dtype=np.float32) ** 2
    return compare_elements(
        "matrix_vector_reduction", jax.jit(squared_norms)(x), expected, FLOAT32_ULP
    )


def _difference_of_squares() -> Answer:
    a = np.linspace(0.03, 80, 10_000).astype(np.float32)
    got = np.asarray(jax.jit(lambda a, b: a**2 - b**2)(a, a.copy()), np.float64)
    rounding = FLOAT32_ULP * a.astype(np.float64) ** 2
    wrong = int(np.count_nonzero(~(np.abs(got) <= rounding)))
    if wrong:
        return Answer("difference_of_squares", False, f"{wrong} elements beyond rounding")
    nonzero = int(np.count_nonzero(got))
    remark = f"{nonzero} of {a.size} differences of equal squares are not zero (contraction)"
    return Answer("difference_of_squares", True, remark if nonzero else "")


def _arctan() -> Answer:
    worst = Answer("arctan", True)
    for size in (8, 32, 49, 50, 64, 100, 200, 1000):
        x = np.linspace(-20, 20, size).astype(np.float32)
        answer = compare_elements(
            "arctan", jax.jit(jnp.arctan)(x), np.arctan(x.astype(np.float64)), 8 * FLOAT32_ULP
        )
        worst = answer if worst.right and not answer.right else worst
    return worst


def _high_rank_reductions() -> Answer:
    weights = np.ones((4, 2, 6, 5, 5, 5, 5, 5), np.float32)
    seen = np.arange(48, dtype=np.float32).reshape(4, 2, 6)

    def broadcast(seen: Array, weights: Array) -> Array:
        return jnp.sum(seen[..., None, None, None, None, None] * weights, axis=2)

    expected = np.broadcast_to(seen.sum(2)[..., None, None, None, None, None], (4, 2, *(5,) * 5))
    first = compare_elements("high_rank_reductions", jax.jit(broadcast)(seen, weights), expected)
    if not first.right:
        return first
    shape = (3, 1, 2, 2, 8, 8, 8)
    u = (np.arange(np.prod(shape), dtype=np.float32) % 7).reshape(shape)
    got = jax.jit(lambda a, b: jnp.sum(a * b, axis=3))(u, u + 1)
    return compare_elements("high_rank_reductions", got, np.sum(u * (u + 1), axis=3))


def _edge_cases() -> Answer:
    inf, nan = np.inf, np.nan
    table: list[tuple[Callable[[Array], Array], list[float], list[float]]] = [
        (jnp.exp, [-inf, 0.0, inf, nan, 200.0, -200.0], [0, 1, inf, nan, inf, 0]),
        (jnp.log, [0.0, 1.0, inf, -1.0, nan], [-inf, 0, inf, nan, nan]),
        (jnp.sqrt, [0.0, -0.0, 4.0, inf, -1.0, nan], [0, 0, 2, inf, nan, nan]),
        (lax.rsqrt, [0.0, 4.0, inf, -1.0, nan], [inf, 0.5, 0, nan, nan]),
        (jnp.log1p, [-1.0, 0.0, inf, -2.0, nan], [-inf, 0, inf, nan, nan]),
        (lambda x: 1.0 / x, [0.0, -0.0, inf, nan], [inf, -inf, 0, nan]),
        (lambda x: x / x, [0.0, inf, nan, 2.0], [nan, nan, nan, 1]),
    ]
    for function, inputs, expected in table:
        # Longer than a vector register, so that the vector loop and its remainder both run.
        x = np.tile(np.asarray(inputs, np.float32), 11)
        answer = compare_elements(
            "edge_cases", jax.jit(function)(x), np.tile(expected, 11), 2 * FLOAT32_ULP
        )
        if not answer.right:
            return answer
    return Answer("edge_cases", True)


def _nan_propagation() -> Answer:
    x = np.tile(np.asarray([np.nan, 1.0, -1.0, np.nan, 0.0], np.float32), 13)
    isnan = np.isnan(x)
    functions: list[Callable[[Array], Array]] = [
        lambda x: jnp.maximum(x, 0),
        lambda x: jnp.minimum(0, x),
        lambda x: jnp.clip(x, -2, 2),
        lambda x: jnp.where(x > 0, x, x * 2),
        lambda x: jnp.sqrt(jnp.maximum(x, 0)),
        jax.nn.relu,
    ]
    for number, function in enumerate(functions):
        got = np.isnan(np.asarray(jax.jit(function)(x)))
        answer = compare_elements("nan_propagation", got, isnan)
        if not answer.right:
            return dataclasses.replace(answer, detail=f"function {number}: {answer.detail}")
    total = [float(jax.jit(reduce)(x)) for reduce in (jnp.max, jnp.min, jnp.sum)]
    return compare_elements("nan_propagation", total, [np.nan] * 3)


def _denormals() -> Answer:
    x = np.asarray([1e-40, 1e-39, -1e-40], np.float32)
    got = np.asarray(jax.jit(lambda x: x * 1.0 + 0.0)(x))
    halved = np.asarray(jax.jit(lambda x: x * 0.5)(np.asarray([1.5e-38], np.float32)))
    right = bool(np.all((got == x) | (got == 0)) and halved[0] in (np.float32(0.75e-38), 0))
    flushed = bool(np.any(got == 0) or halved[0] == 0)
    return Answer("denormals", right, "numbers below 1.2e-38 are flushed to zero" * flushed)


def _bfloat16_products() -> Answer:
    rng = np.random.default_rng(0)
    a = rng.integers(-8, 9, (65, 130)).astype(np.float32)
    b = rng.integers(-8, 9, (130, 33)).astype(np.float32)

    def product(a: Array, b: Array) -> Array:
        wide: Any = jnp.float32
        return jnp.dot(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=wide)

    return compare_elements("bfloat16_products", jax.jit(product)(a, b), a @ b)


def _float32_products() -> Answer:
    rng = np.random.default_rng(1)
    a = rng.integers(-30, 31, (3, 127, 200)).astype(np.float32)
    b = rng.integers(-30, 31, (3, 200, 65)).astype(np.float32)
    return compare_elements("float32_products", jax.jit(jnp.matmul)(a, b), a @ b)


def _sorting() -> Answer:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 50, 1001).astype(np.float32)
    order = jax.jit(lambda x: jnp.argsort(x, stable=True))(x)
    answer = compare_elements("sorting", order, np.argsort(x, kind="stable"))
    x[::97] = np.nan
    return compare_elements("sorting", jax.jit(jnp.sort)(x), np.sort(x)) if answer.right else answer


def _gather_and_scatter() -> Answer:
    rng = np.random.default_rng(3)
    places = rng.integers(0, 40, 5000)
    values = rng.integers(-9, 10, (5000, 3)).astype(np.float32)
    expected = np.zeros((40, 3), np.float32)
    np.add.at(expected, places, values)
    added = jax.jit(lambda p, v: jnp.zeros((40, 3)).at[p].add(v))(places, values)
    answer = compare_elements("gather_and_scatter", added, expected)
    if not answer.right:
        return answer
    taken = jax.jit(lambda t, p: t[p])(expected, places)
    return compare_elements("gather_and_scatter", taken, expected[places])


def _sums() -> Answer:
    x = (np.arange(100_003) % 13).astype(np.float32)
    reduced = [jax.jit(jnp.sum)(x), jax.jit(lambda x: jnp.cumsum(x)[-1])(x)]
    return compare_elements("sums", np.asarray(reduced), [x.astype(np.float64).sum()] * 2)


def _exp_of_nan() -> Answer:
    x = np.linspace(-2, 2, 37).astype(np.float32)
    exp_of_nan, ones = jax.jit(lambda x: jnp.exp(x * jnp.nan)), jax.jit(jnp.ones_like)
    for _ in range(8):
        # The fault leaves the memory of the result as it was, which may be NaN by chance.
        np.asarray(ones(x))
        answer = compare_elements("exp_of_nan", exp_of_nan(x), np.full(37, np.nan))
        if not answer.right:
            return answer
    return Answer("exp_of_nan", True)


KNOWN_ANSWERS: tuple[KnownAnswer, ...] = (
    KnownAnswer(
        "matrix_vector_reduction",
        "matrix-vector product under vmap, then a reduction: squares of 0 to 32,768",
        _matrix_vector_reduction,
    ),
    KnownAnswer(
        "difference_of_squares",
        "a**2 - b**2 with a equal to b is zero to rounding",
        _difference_of_squares,
    ),
    KnownAnswer("arctan", "arctan of 8 to 1,000 elements, against NumPy", _arctan),
    KnownAnswer(
        "high_rank_reductions",
        "products of rank 7 and 8 reduced over one axis, against NumPy",
        _high_rank_reductions,
    ),
    KnownAnswer(
        "edge_cases", "exp, log, sqrt, rsqrt, log1p, division at 0, infinity, NaN", _edge_cases
    ),
    KnownAnswer("exp_of_nan", "exp(x * NaN) is NaN", _exp_of_nan),
    KnownAnswer(
        "nan_propagation",
        "NaN passes through max, min, clip, select, reductions",
        _nan_propagation,
    ),
    KnownAnswer("denormals", "denormal numbers are kept or flushed to zero", _denormals),
    KnownAnswer(
        "bfloat16_products", "bfloat16 matrix product of integers is exact", _bfloat16_products
    ),
    KnownAnswer(
        "float32_products",
        "float32 batched matrix product of integers is exact",
        _float32_products,
    ),
    KnownAnswer("sorting", "stable order, and NaN last, against NumPy", _sorting),
    KnownAnswer(
        "gather_and_scatter",
        "scatter-add with repeated places, and gather, against NumPy",
        _gather_and_scatter,
    ),
    KnownAnswer("sums", "sums of integers in float32 are exact", _sums),
)

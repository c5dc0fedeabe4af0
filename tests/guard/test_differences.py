"""Zeroing applies to a difference, before the epsilon that is added, and keeps derivatives."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from perfkit.guard.transform import guard

EPSILON = 1e-5

Form = Callable[[Array], Array]

DEVIATIONS: dict[str, Form] = {
    "plus epsilon": lambda d: jnp.sqrt(d + EPSILON),
    "epsilon plus": lambda d: jnp.sqrt(EPSILON + d),
    "clamped": lambda d: jnp.sqrt(jnp.maximum(d, 0) + EPSILON),
    "chosen": lambda d: jnp.sqrt(jnp.where(d > 0, d, 0) + EPSILON),
    "at least": lambda d: jnp.sqrt(jnp.maximum(d, EPSILON)),
    "clipped": lambda d: jnp.sqrt(jnp.clip(d, EPSILON)),
    "as a power": lambda d: (d + EPSILON) ** 0.5,
    "scaled": lambda d: 0.1 * jnp.sqrt((d + EPSILON) * 100),
    "squared epsilon": lambda d: jnp.sqrt(d + EPSILON**0.5 * EPSILON**0.5),
    "in another jit": lambda d: jax.jit(lambda v: jnp.sqrt(v + EPSILON))(d),
    "in a scan": lambda d: lax.scan(lambda c, v: (c, jnp.sqrt(v + EPSILON)), 0, d)[1],
    "in a branch": lambda d: lax.cond(True, lambda v: jnp.sqrt(v + EPSILON), jnp.sqrt, d),
    "in remat": jax.checkpoint(lambda d: jnp.sqrt(d + EPSILON)),
    "mapped": jax.vmap(lambda d: jnp.sqrt(d + EPSILON)),
}
"""Forms that keep a variance above zero; all give sqrt(EPSILON) for a variance of zero."""


def variance(x: Array) -> Array:
    return jnp.mean(x * x, -1, keepdims=True) - jnp.mean(x, -1, keepdims=True) ** 2


def constant_rows() -> Array:
    """Rows that repeat a number: variance 0, which float32 computes as up to 0.1 of either sign."""
    return jnp.asarray(np.linspace(900, 1100, 101)[:, None] * np.ones(7), jnp.float32)


@pytest.mark.parametrize("name", sorted(DEVIATIONS))
def test_a_difference_of_zero_leaves_the_epsilon_of_the_program(name: str) -> None:
    deviation = DEVIATIONS[name]
    run = jax.jit(guard(lambda x: deviation(variance(x)), zero_rounding=True))
    result, report = run(constant_rows())
    np.testing.assert_allclose(result, EPSILON**0.5, rtol=1e-4)
    assert sum(row.zeroed for row in report.rows()) > 0


@pytest.mark.parametrize("name", sorted(DEVIATIONS))
def test_a_layer_norm_is_unchanged_wherever_it_is_finite(name: str) -> None:
    deviation = DEVIATIONS[name]

    def norm(x: Array) -> Array:
        return (x - jnp.mean(x, -1, keepdims=True)) / deviation(variance(x))

    x = jnp.concatenate([constant_rows(), jnp.full((2, 7), 5.5)])
    plain = np.asarray(jax.jit(norm)(x))
    result, _ = jax.jit(guard(norm, zero_rounding=True))(x)
    assert np.all(np.isfinite(result))
    finite = np.isfinite(plain)
    np.testing.assert_array_equal(np.asarray(result)[finite], plain[finite])


def test_a_traced_epsilon_is_kept() -> None:
    def distance(a: Array, b: Array, epsilon: Array) -> Array:
        return jnp.sqrt(a * a - 2 * a * b + b * b + epsilon * epsilon)

    a = jnp.asarray([1000.1, 3.3], jnp.float32)
    result, _ = jax.jit(guard(distance, zero_rounding=True))(a, a, jnp.float32(1e-3))
    np.testing.assert_allclose(result, 1e-3, rtol=1e-3)


def test_a_real_difference_that_a_constant_cancels_is_lifted_to_the_edge() -> None:
    # a - b is -1.0000002, which is not rounding: adding 1 does not mean "at least 1".
    result, report = jax.jit(guard(lambda a, b: jnp.sqrt(a - b + 1.0)))(
        jnp.float32(1), jnp.float32(2.0000002)
    )
    assert result == 0
    assert report.rows()[0].lifted == 1


@pytest.mark.parametrize(
    "divided",
    [
        lambda s, x: x / s,
        lambda s, x: x * s**-1,
        lambda s, x: x / (s + 1e-6),
        lambda s, x: x / jnp.maximum(s * 2, 1e-6),
        lambda s, x: jax.jit(lambda p, q: p / q)(x, s),
        lambda s, x: lax.scan(lambda c, _: (c * 0.5, x / c), s, None, length=2)[1],
        lambda s, x: x * lax.rsqrt(s),
        lambda s, x: x + jnp.log(s),
    ],
)
def test_a_divisor_is_not_zeroed(divided: Callable[..., Array]) -> None:
    def program(a: Array, b: Array) -> Array:
        return divided(jnp.sqrt(a - b), a)

    terms = jnp.float32(1.0000001), jnp.float32(1.0)
    result, report = jax.jit(guard(program, zero_rounding=True))(*terms)
    np.testing.assert_array_equal(result, jax.jit(program)(*terms))
    assert all(row.zeroed == 0 for row in report.rows())


@pytest.mark.parametrize("zero_rounding", [False, True])
def test_derivatives_are_those_of_the_difference_if_an_epsilon_is_left(
    zero_rounding: bool,
) -> None:
    def distance(a: Array, b: Array) -> Array:
        return jnp.sqrt(a - b + EPSILON)

    guarded = guard(distance, zero_rounding=zero_rounding)
    # Zero, or 7.6e-6, which counts as zero because its rounding bound is 2.4e-5.
    terms = (
        (jnp.float32(100.0), jnp.float32(100.0))
        if not zero_rounding
        else (jnp.float32(100.00001), jnp.float32(100.0))
    )
    expected = 0.5 / EPSILON**0.5
    backward = jax.jit(jax.grad(lambda a, b: guarded(a, b)[0], (0, 1)))(*terms)
    np.testing.assert_allclose(backward, [expected, -expected], rtol=1e-4)
    _, forward = jax.jvp(lambda a, b: guarded(a, b)[0], terms, (jnp.float32(1), jnp.float32(0)))
    assert forward == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("function", [jnp.sqrt, lambda d: d**0.5, lambda d: jnp.arccos(1 - d)])
@pytest.mark.parametrize("b", [1.0000001, 0.9999999])
def test_an_operand_on_an_edge_has_a_derivative_of_zero(
    function: Callable[[Array], Array], b: float
) -> None:
    def of_terms(a: Array, b: Array) -> Array:
        result: Array = guard(lambda a, b: function(a - b), zero_rounding=True)(a, b)[0]
        return result

    terms = jnp.float32(1.0), jnp.float32(b)
    is_held = of_terms(*terms) == 0
    for tangents in ((1.0, 1.0), (1.0, 0.0)):
        _, forward = jax.jvp(of_terms, terms, tuple(map(jnp.float32, tangents)))
        assert np.isfinite(forward)
        assert forward == 0 or not is_held
    backward = jax.grad(of_terms, (0, 1))(*terms)
    assert np.all(np.isfinite(backward))
    assert np.all(np.asarray(backward) == 0) or not is_held


def test_noise_is_zeroed_although_the_sample_is_normalised_later() -> None:
    def step(x: Array, raised: Array, level: Array) -> tuple[Array, Array]:
        added = jnp.sqrt(raised - level)
        x = x + x[::-1] * added
        return x / jnp.sqrt(jnp.mean(x * x) + EPSILON), added

    arguments = jnp.arange(1.0, 5.0), jnp.float32(1.0000001), jnp.float32(1.0)
    assert jax.jit(step)(*arguments)[1] > 0
    (_, added), report = jax.jit(guard(step, zero_rounding=True))(*arguments)
    assert added == 0
    assert sum(row.zeroed for row in report.rows()) == 1

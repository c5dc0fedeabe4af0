"""The domain guard lifts operands that rounding moved, counts them, and changes nothing else."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from perfkit.guard.counts import GuardReport
from perfkit.guard.transform import guard
from tests.support.guard_programs import (
    added_with_clamp,
    churn,
    exact_added,
    karras_schedule,
    planted,
    sampler,
)
from tests.support.versions import NOT_IN_0_10

LEVELS = karras_schedule()


def test_the_unguarded_sampler_is_nan_at_some_levels_under_jit() -> None:
    _, added = jax.jit(sampler)(jnp.ones(3), LEVELS)
    assert 0 < np.isnan(added).sum() < len(LEVELS)


def test_the_guarded_sampler_is_finite_and_counts_its_lifts() -> None:
    _, unguarded = jax.jit(sampler)(jnp.ones(3), LEVELS)
    (x, added), report = jax.jit(guard(sampler))(jnp.ones(3), LEVELS)
    assert np.all(np.isfinite(x))
    (row,) = report.rows()
    assert row.lifted == np.isnan(unguarded).sum()
    assert row.site.primitive == "sqrt"
    assert row.site.origin.file.endswith("guard_programs.py")
    assert row.site.origin.function == "churn"
    assert np.all(added[np.isnan(unguarded)] == 0)
    kept = ~np.isnan(unguarded)
    np.testing.assert_array_equal(np.asarray(added)[kept], np.asarray(unguarded)[kept])


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.bfloat16, 2e-2), (jnp.float64, 1e-13)])
def test_the_sampler_is_guarded_in_other_precisions(dtype: Any, tolerance: float) -> None:
    with jax.enable_x64(True):
        levels = jnp.asarray(LEVELS, dtype)
        run = jax.jit(guard(sampler, zero_rounding=True))
        (_, added), _ = run(jnp.ones(3, dtype), levels)
        expected = exact_added(np.asarray(levels, np.float64))
    assert added.dtype == dtype
    np.testing.assert_allclose(np.asarray(added, np.float64), expected, rtol=tolerance, atol=0)


def test_the_zeroing_guard_equals_float64_arithmetic_to_rounding() -> None:
    run = jax.jit(guard(sampler, zero_rounding=True))
    (x, added), report = run(jnp.ones(3), LEVELS)
    expected = exact_added(LEVELS)
    np.testing.assert_allclose(added, expected, rtol=2e-6, atol=0)
    np.testing.assert_allclose(x, 1 + expected.sum(), rtol=1e-6)
    (row,) = report.rows()
    assert row.lifted > 0
    assert row.zeroed > 0


def test_without_zeroing_positive_residues_stay() -> None:
    (_, added), _ = jax.jit(guard(sampler))(jnp.ones(3), LEVELS)
    assert np.any(np.asarray(added)[exact_added(LEVELS) == 0] > 0)


def test_zeroing_passes_through_the_usual_clamp() -> None:
    levels = jnp.asarray(LEVELS)
    exactly_zero = exact_added(LEVELS) == 0
    assert np.any(np.asarray(jax.jit(added_with_clamp)(levels))[exactly_zero] > 0)
    zeroed, report = jax.jit(guard(added_with_clamp, zero_rounding=True))(levels)
    np.testing.assert_array_equal(np.asarray(zeroed) == 0, exactly_zero)
    assert report.rows()[0].zeroed > 0


def test_a_planted_error_stays_nan() -> None:
    result, report = jax.jit(guard(planted))(jnp.ones(4))
    assert np.all(np.isnan(result))
    assert sum(row.lifted for row in report.rows()) == 0


@pytest.mark.parametrize(
    ("dtype", "unit"), [(jnp.float32, 2**-23), (jnp.bfloat16, 2**-7), (jnp.float64, 2**-52)]
)
def test_rounding_is_judged_at_the_precision_of_the_terms(dtype: Any, unit: float) -> None:
    with jax.enable_x64(True):
        terms = jnp.asarray([1.0, 1.0, 1.0], dtype)
        others = jnp.asarray([1.0 + unit, 1.0 + 64 * unit, 1.5], dtype)
        result, report = jax.jit(guard(lambda a, b: jnp.sqrt(a - b)))(terms, others)
    assert result.dtype == dtype
    np.testing.assert_array_equal(np.isnan(np.asarray(result, np.float64)), [False, True, True])
    assert report.rows()[0].lifted == 1


def test_the_precision_of_terms_survives_a_widening_conversion() -> None:
    def difference(a: Array, b: Array) -> Array:
        return jnp.sqrt(a.astype(jnp.float32) - b.astype(jnp.float32))

    a, b = jnp.asarray([1.0], jnp.bfloat16), jnp.asarray([1.0078125], jnp.bfloat16)
    assert jax.jit(guard(difference))(a, b)[0] == 0
    wide = jax.jit(guard(difference))(a.astype(jnp.float32), b.astype(jnp.float32))[0]
    assert np.isnan(wide)


@pytest.mark.parametrize(
    ("function", "edge_value"),
    [
        (lambda d: jnp.sqrt(3 * d), 0.0),
        (lambda d: lax.rsqrt(d.reshape(1, 1)).reshape(()), np.inf),
        (jnp.log, -np.inf),
        (lambda d: jnp.log1p(d - 1), -np.inf),
        (lambda d: d**0.5, 0.0),
        (lambda d: jnp.arccos(1 - d), 0.0),
        (lambda d: jnp.arcsin(d - 1), -np.pi / 2),
        (lambda d: jnp.arctanh(1 - d), np.inf),
        (lambda d: jnp.arccosh(1 + d), 0.0),
        (lambda d: lax.erf_inv(1 - d), np.inf),
        (jnp.log2, -np.inf),
        (lambda d: jax.scipy.special.xlogy(2.0, d), -np.inf),
    ],
)
def test_each_domain_has_its_edge(function: Callable[[Array], Array], edge_value: float) -> None:
    def of_terms(a: Array, b: Array) -> Array:
        return function(a - b)

    terms = jnp.float32(1.0), jnp.float32(1.0000001)
    assert np.isnan(jax.jit(of_terms)(*terms))
    result, report = jax.jit(guard(of_terms))(*terms)
    assert float(result) == pytest.approx(edge_value)
    assert [row.lifted for row in report.rows()] == [1]


def test_an_integer_power_of_a_negative_number_is_not_guarded() -> None:
    result, _ = jax.jit(guard(lambda a, b, p: (a - b) ** p))(1.0, jnp.float32(1.0000001), 2.0)
    assert result > 0
    result, _ = jax.jit(guard(lambda a, b, p: (a - b) ** p))(
        jnp.float32(1.0), jnp.float32(1.0000001), jnp.float32(3.0)
    )
    assert result < 0


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a: 1 / (a * a), np.inf),
        (lambda a: a / (a * a), np.inf),
        (lambda a: (a * a) / (a * a), np.nan),
        (lambda a: a / a**2, np.inf),
        (lambda a: (a * a) ** -1, np.inf),
        (lambda a: lax.rem(jnp.float32(0), a * a), np.nan),
        pytest.param(lambda a: jnp.sqrt(a * a) / jnp.sqrt(a * a * 0.5), np.nan, marks=NOT_IN_0_10),
        (lambda a: lax.rsqrt(a * a), np.inf),
        (lambda a: jnp.log(a * a), -np.inf),
    ],
)
@pytest.mark.parametrize("zero_rounding", [False, True])
def test_underflow_is_not_lifted(
    function: Callable[[Array], Array], expected: float, zero_rounding: bool
) -> None:
    tiny = jnp.float32(1e-30)
    np.testing.assert_equal(float(jax.jit(function)(tiny)), expected)
    result, report = jax.jit(guard(function, zero_rounding=zero_rounding))(tiny)
    np.testing.assert_equal(float(result), expected)
    assert all(row.lifted == row.zeroed == 0 for row in report.rows())


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        # 1 / (-1e-7) is far below zero, whatever the rounding of the divisor.
        (lambda p, q: jnp.sqrt(1 / (p - q)), (1.0, 1.0000001)),
        # The larger of two is -0.5; the uncertainty of the smaller one does not matter.
        (lambda p, q: jnp.sqrt(jnp.maximum(p - 1, q - 2e9)), (0.5, 1e9)),
        (lambda p, q: jnp.sqrt(jnp.max(jnp.stack([p - 1, q - 2e9]))), (0.5, 1e9)),
        (lambda p, q: jnp.sqrt(-jnp.min(jnp.stack([1 - p, 2e9 - q]))), (0.5, 1e9)),
    ],
)
def test_an_operand_that_rounding_does_not_explain_stays_nan(
    function: Callable[[Array, Array], Array], arguments: tuple[float, float]
) -> None:
    result, report = jax.jit(guard(function))(*map(jnp.float32, arguments))
    assert np.isnan(result)
    assert sum(row.lifted for row in report.rows()) == 0


def test_the_bound_of_a_matrix_product_follows_from_its_terms() -> None:
    # 1 * 1 + 1 * -1.0000001 is -1.2e-7, which is rounding compared with terms of 1.
    rows, column = jnp.asarray([[1.0, 1.0]]), jnp.asarray([1.0, -1.0000001])
    assert np.isnan(jax.jit(lambda a, b: jnp.sqrt(a @ b))(rows, column))
    result, report = jax.jit(guard(lambda a, b: jnp.sqrt(a @ b)))(rows, column)
    assert result == 0
    assert report.rows()[0].lifted == 1
    error, _ = jax.jit(guard(lambda a, b: jnp.sqrt(a @ b)))(rows, jnp.asarray([1.0, -1.5]))
    assert np.isnan(error)


def test_a_divisor_whose_terms_cancel_is_not_lifted() -> None:
    result, _ = jax.jit(guard(lambda a, b: (a - b) / (a - b)))(jnp.ones(1), jnp.ones(1))
    assert np.isnan(result)


def test_an_infinite_term_is_not_rounding() -> None:
    result, _ = jax.jit(guard(lambda a, b: jnp.sqrt(a - b)))(jnp.ones(1), jnp.array([jnp.inf]))
    assert np.isnan(result)


def test_a_sum_of_squares_is_not_guarded() -> None:
    def layer_norm(x: Array) -> Array:
        return (x - x.mean()) * lax.rsqrt(jnp.var(x) + 1e-5)

    x = jnp.arange(8.0)
    result, report = jax.jit(guard(layer_norm))(x)
    assert report.sites == ()
    np.testing.assert_array_equal(result, jax.jit(layer_norm)(x))


def test_a_one_pass_variance_is_lifted_to_its_epsilon() -> None:
    def inverse_deviation(x: Array) -> Array:
        variance = jnp.mean(x**2, -1, keepdims=True) - jnp.mean(x, -1, keepdims=True) ** 2
        return lax.rsqrt(variance + 1e-5)

    x = jnp.asarray(np.linspace(900, 1100, 201)[:, None] * np.ones(7), jnp.float32)
    unguarded = np.asarray(jax.jit(inverse_deviation)(x))
    result, report = jax.jit(guard(inverse_deviation))(x)
    broken = np.isnan(unguarded)
    assert report.rows()[0].lifted == broken.sum() > 0
    np.testing.assert_allclose(np.asarray(result)[broken], 1e-5**-0.5, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(result)[~broken], unguarded[~broken])


def test_zeroing_does_not_make_a_random_draw_infinite() -> None:
    def gumbel(bits: Array) -> Array:
        return -jnp.log(-jnp.log(jnp.maximum(bits - 1, 1e-30)))

    draws = jnp.asarray([1.0000001, 1.5])
    result, _ = jax.jit(guard(gumbel, zero_rounding=True))(draws)
    np.testing.assert_array_equal(result, jax.jit(gumbel)(draws))


def through_scan(a: Array, b: Array) -> Array:
    return lax.scan(lambda c, d: (c + jnp.sqrt(d), None), a * 0, jnp.stack([a - b, a - b]))[0]


def through_pieces(a: Array, b: Array) -> Array:
    first, second = jnp.split(jnp.concatenate([a - b, b]), 2)
    return jnp.sqrt(first) * second


def through_scan_constant(a: Array, b: Array) -> Array:
    difference = a - b
    return lax.scan(lambda c, _: (c + jnp.sqrt(difference), None), a * 0, None, length=2)[0]


def through_carry(a: Array, b: Array) -> Array:
    def body(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        difference, total = carry
        return a - b, total + jnp.sqrt(difference)

    carry: tuple[Array, Array] = lax.fori_loop(0, jnp.int32(2), body, (a - b, a * 0))
    return carry[1]


def out_of_cond(a: Array, b: Array) -> Array:
    return jnp.sqrt(lax.cond(a[0] > 0, lambda: a - b, lambda: a)) * 2


def out_of_jit(a: Array, b: Array) -> Array:
    difference: Array = jax.jit(lambda p, q: p - q)(a, b)
    return jnp.sqrt(difference) * 2


def in_remat(a: Array, b: Array) -> Array:
    root: Array = jax.checkpoint(lambda p, q: jnp.sqrt(p - q))(a, b)
    return root * 2


def in_cond(a: Array, b: Array) -> Array:
    chosen: Array = lax.cond(a[0] > 0, lambda: jnp.sqrt(a - b), lambda: jnp.log(a - b))
    return chosen * 2


def in_custom_jvp(a: Array, b: Array) -> Array:
    root = jax.custom_jvp(lambda p, q: jnp.sqrt(p - q))
    root.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    result: Array = root(a, b)
    return result


def in_custom_vjp(a: Array, b: Array) -> Array:
    root = jax.custom_vjp(lambda p, q: jnp.sqrt(p - q))
    root.defvjp(lambda p, q: (root(p, q), None), lambda _, t: (t, t))
    result: Array = root(a, b)
    return result


def in_custom_vmap(a: Array, b: Array) -> Array:
    root = jax.custom_batching.custom_vmap(lambda p, q: jnp.sqrt(p - q))
    root.def_vmap(lambda size, batched, p, q: (jnp.sqrt(p - q), True))
    mapped: Array = jax.vmap(root)(a, b)
    return mapped


def in_vmap(a: Array, b: Array) -> Array:
    return jax.vmap(lambda p, q: jnp.sqrt(p - q))(a, b)


@pytest.mark.parametrize(
    "function",
    [
        through_scan,
        through_pieces,
        through_scan_constant,
        through_carry,
        out_of_cond,
        out_of_jit,
        in_remat,
        in_cond,
        in_custom_jvp,
        in_custom_vjp,
        in_custom_vmap,
        in_vmap,
    ],
)
def test_bounds_pass_through_control_flow(function: Callable[..., Array]) -> None:
    a, near, far = jnp.ones(1), jnp.asarray([1.0000001]), jnp.asarray([1.5])
    assert np.isnan(jax.jit(function)(a, near))
    lifted, report = jax.jit(guard(function))(a, near)
    assert lifted == 0
    assert sum(row.lifted for row in report.rows()) in (1, 2)
    error, report = jax.jit(guard(function))(a, far)
    assert np.isnan(error)
    assert sum(row.lifted for row in report.rows()) == 0


def test_vmap_maps_the_counts_and_the_rows_sum_them() -> None:
    _, report = jax.jit(jax.vmap(guard(lambda a, b: jnp.sqrt(a - b))))(
        jnp.ones(3), jnp.asarray([1.0000001, 1.0, 1.0000001])
    )
    assert report.counts.shape == (3, 1, 2)
    assert report.rows()[0].lifted == 2


def test_the_guard_can_be_switched_off() -> None:
    (_, added), report = jax.jit(guard(sampler, enabled=False))(jnp.ones(3), LEVELS)
    assert np.any(np.isnan(added))
    assert report.rows() == ()


def test_static_arguments_steer_the_control_flow() -> None:
    @functools.partial(jax.jit, static_argnames=("times", "kind"))
    def run(x: Array, times: int, kind: str) -> Any:
        def inner(x: Array, times: int, kind: str) -> Array:
            for _ in range(times):
                x = jnp.sqrt(x - 1) if kind == "root" else x
            return x

        return guard(inner)(x, times, kind)

    result, report = run(jnp.asarray([17.0]), times=2, kind="root")
    assert result == pytest.approx(3**0.5)
    assert len(report.sites) == 2


def test_derivatives_pass_through() -> None:
    def loss(x: Array) -> tuple[Array, GuardReport]:
        return guard(lambda y: jnp.sum(jax.nn.softplus(y) + jnp.sqrt(y * y - 1)))(x)

    x = jnp.asarray([2.0, 3.0])
    gradient, _ = jax.grad(loss, has_aux=True)(x)
    expected = 1 / (1 + np.exp(-np.asarray(x))) + x / np.sqrt(np.asarray(x) ** 2 - 1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_the_report_is_plain_json_and_lists_only_touched_sites() -> None:
    _, report = jax.jit(guard(lambda x, s: (churn(x, s), jnp.sqrt(s - 0.01))))(
        jnp.ones(1), jnp.asarray(LEVELS)
    )
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["guarded_equations"] == 2
    assert len(plain["sites"]) == 1
    assert plain["sites"][0]["lifted"] == plain["lifted"] > 0


def test_a_site_has_its_module_path() -> None:
    def named(x: Array) -> Array:
        with jax.named_scope("diffusion"):
            return jnp.sqrt(x - 1)

    _, report = jax.jit(guard(jax.jit(named)))(jnp.ones(1))
    assert report.sites[0].origin.module_path.endswith("jit(named)/diffusion")

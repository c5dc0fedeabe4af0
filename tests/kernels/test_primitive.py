"""A native kernel in a traced program, and what the guard and the locator see of it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

from perfkit.diagnose.locate.function import locate_in_function
from perfkit.guard.transform import guard
from perfkit.kernels.primitive import call_kernel
from tests.kernels.row_sum import row_sum

X = np.random.default_rng(0).normal(size=(300, 77)).astype(np.float32)
SQUARES = -0.5 * np.sum(X.astype(np.float64) ** 2, axis=1)


def negative_squares(x: jax.Array) -> jax.Array:
    return row_sum(x, power=2, scale=0.5, negate=True)


def test_the_kernel_gets_operands_and_attributes(row_sum_target: str) -> None:
    np.testing.assert_allclose(negative_squares(jnp.asarray(X)), SQUARES, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(negative_squares)(X), SQUARES, rtol=1e-5)
    assert row_sum_target in jax.jit(negative_squares).lower(X).as_text()


def test_the_operands_are_row_major_whatever_the_program_does(row_sum_target: str) -> None:
    columns = jax.jit(lambda x: negative_squares(x.T))(X)
    expected = -0.5 * np.sum(X.astype(np.float64) ** 2, axis=0)
    np.testing.assert_allclose(columns, expected, rtol=1e-5)


def test_every_row_is_computed_once_in_every_call(row_sum_target: str) -> None:
    """A late task of one call must not touch another: many short calls follow each other."""

    def step(total: jax.Array, _: None) -> tuple[jax.Array, None]:
        return total + row_sum(jnp.ones((33, 1), jnp.float32)), None

    totals, _ = jax.jit(lambda: jax.lax.scan(step, jnp.zeros(33), None, length=2000))()
    np.testing.assert_array_equal(totals, 2000)


@pytest.mark.parametrize("size", [1, 3])
def test_vmap_calls_the_kernel_for_each_element(row_sum_target: str, size: int) -> None:
    batches = jnp.asarray(X).reshape(size, -1, 77)
    for axis in (0, 2):
        mapped = jax.vmap(negative_squares, in_axes=axis)
        moved = jnp.moveaxis(batches, 0, axis)
        np.testing.assert_allclose(mapped(moved), SQUARES.reshape(size, -1), rtol=1e-5)
        assert _calls(mapped, moved) == 1


def test_a_kernel_that_takes_a_batch_is_called_once_under_vmap(row_sum_target: str) -> None:
    """Of the operands of this call, the factors have no batch."""

    def scaled(x: jax.Array, factors: jax.Array) -> jax.Array:
        return x.sum(1) * factors.sum()

    def run(x: jax.Array, factors: jax.Array) -> jax.Array:
        result = jax.ShapeDtypeStruct(x.shape[:1], x.dtype)
        [sums] = call_kernel("perfkit.RowSum", scaled, x, factors, results=[result], batched=(0,))
        return sums

    x, factors = jnp.ones((5, 4, 3)), jnp.ones((2, 1))
    traced = jax.make_jaxpr(jax.vmap(run, in_axes=(1, None)))(x, factors)
    (kernel,) = (each for each in traced.eqns if each.primitive.name == "perfkit_kernel")
    given: list[Any] = [each.aval for each in kernel.invars]
    assert [each.shape for each in given] == [(20, 3), (2, 1)]
    (form,) = jaxpr_as_fun(kernel.params["jaxpr"])(x.reshape(20, 3), factors)
    np.testing.assert_array_equal(form, np.full(20, 6))
    both = jax.make_jaxpr(jax.vmap(run))(jnp.ones((2, 4, 3)), jnp.ones((2, 2, 1)))
    assert "scan" in str(both)


def test_nan_and_infinity_pass(row_sum_target: str) -> None:
    x = np.ones((3, 4), np.float32)
    x[0, 1], x[1, 2] = np.nan, np.inf
    np.testing.assert_array_equal(row_sum(jnp.asarray(x)), [np.nan, np.inf, 4])


def test_a_form_with_other_results_is_refused(row_sum_target: str) -> None:
    result = jax.ShapeDtypeStruct((4,), jnp.float32)
    with pytest.raises(TypeError, match=r"perfkit\.RowSum returns .*\(3,\).* instead of .*\(4,\)"):
        call_kernel("perfkit.RowSum", lambda x: x.sum(1), jnp.ones((3, 2)), results=[result])


def _calls(function: Any, *operands: Any) -> int:
    return str(jax.make_jaxpr(function)(*operands)).count("perfkit_kernel[")


def test_the_guard_keeps_a_kernel_whose_form_needs_no_lift(row_sum_target: str) -> None:
    """Also if a guarded root follows, which would otherwise ask for bounds inside the kernel."""

    def program(x: jax.Array) -> jax.Array:
        sums = row_sum(x)
        return jnp.sqrt(sums - row_sum(x * 1.0))

    guarded = guard(program)
    assert _calls(program, X) == _calls(lambda x: guarded(x)[0], X) == 2
    np.testing.assert_array_equal(guarded(X)[0], 0)


def test_the_guard_replaces_a_kernel_whose_form_needs_a_lift(row_sum_target: str) -> None:
    def root(x: jax.Array) -> jax.Array:
        def form(x: jax.Array) -> jax.Array:
            return jnp.sqrt(jnp.mean(x * x, 1) - jnp.mean(x, 1) ** 2)

        result = jax.ShapeDtypeStruct(x.shape[:1], jnp.float32)
        return call_kernel(
            "perfkit.RowSum", form, x, results=[result], power=1, scale=1.0, negate=False
        )[0]

    guarded = guard(root)
    assert _calls(root, X) == 1
    assert _calls(lambda x: guarded(x)[0], X) == 0


def test_the_locator_names_the_bad_value_inside_the_form(row_sum_target: str) -> None:
    """Zero times infinity: the product in the form is where NaN appears."""

    def program(x: jax.Array) -> jax.Array:
        return row_sum(x - x, scale=float("inf")) + 1

    assert np.isnan(jax.jit(program)(X)).all()
    finding = locate_in_function(program, jnp.asarray(X))
    assert finding is not None
    assert (finding.kind, finding.certainty, finding.primitive) == ("nan", "found", "mul")
    assert finding.origin.file.endswith("row_sum.py")


def test_the_form_that_is_held_computes_the_same(row_sum_target: str) -> None:
    (equation,) = jax.make_jaxpr(negative_squares)(X).jaxpr.eqns
    (form,) = jaxpr_as_fun(equation.params["jaxpr"])(X)
    np.testing.assert_allclose(form, SQUARES, rtol=1e-5)

"""The native transition against its JAX form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.kernels.transition import glu_transition, transition, transition_form
from tests.kernels.agreement import assert_close


def operands(rows: int, channels: int, hidden: int, dtype: str) -> list[jax.Array]:
    """Activations, and parameters of the size that the network has after training."""
    random = np.random.default_rng([rows, channels, hidden])
    return [
        jnp.asarray(random.normal(mean, deviation, shape), kind)
        for mean, deviation, shape, kind in (
            (0.3, 1, (rows, channels), dtype),
            (1, 0.2, (channels,), "float32"),
            (0, 0.2, (channels,), "float32"),
            (0, channels**-0.5, (channels, hidden), dtype),
            (0, channels**-0.5, (channels, hidden), dtype),
            (0, hidden**-0.5, (hidden, channels), dtype),
        )
    ]


@settings(max_examples=8, deadline=None)
@given(
    rows=st.integers(1, 200),
    channels=st.integers(1, 70) | st.sampled_from([64, 128]),
    hidden=st.integers(1, 150) | st.just(512),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    masked=st.booleans(),
    add_input=st.booleans(),
)
def test_kernel_agrees_with_its_jax_form(
    level: str,
    rows: int,
    channels: int,
    hidden: int,
    dtype: str,
    masked: bool,
    add_input: bool,
) -> None:
    arrays = operands(rows, channels, hidden, dtype)
    if masked:
        arrays.append(jnp.asarray(np.arange(rows) % 5 % 2, dtype))

    @jax.jit
    def both(*arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
        kernel = transition(*arrays, add_input=add_input)
        return kernel, transition_form(*arrays, add_input=add_input)

    got, expected = both(*arrays)
    assert got.dtype == dtype
    assert_close(got, expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_that_are_not_finite_pass_as_in_the_jax_form(level: str, dtype: str) -> None:
    x, *parameters = operands(140, 32, 48, dtype)
    x = x.at[0, 3].set(jnp.nan).at[50, 0].set(jnp.inf).at[139, 31].set(-jnp.inf)
    arrays = [x, *parameters, jnp.ones(140, dtype).at[50].set(0)]
    for add_input in (False, True):
        got = transition(*arrays, add_input=add_input)
        assert_close(got, transition_form(*arrays, add_input=add_input), dtype)
    assert np.isnan(np.asarray(got[0], np.float32)).all()
    np.testing.assert_array_equal(got[50], x[50])


def test_blocks_without_a_kept_row_hold_the_input(highest_level: None) -> None:
    x, *parameters = operands(600, 64, 128, "bfloat16")
    keep = jnp.zeros(600).at[:100].set(0.5)
    arrays = [x, *parameters, keep]
    got = transition(*arrays, add_input=True)
    np.testing.assert_array_equal(got[100:], x[100:])
    assert_close(got, transition_form(*arrays, add_input=True), "bfloat16")


def test_vmap_and_leading_axes(highest_level: None) -> None:
    x, *parameters = operands(24, 32, 64, "float32")
    cube = x.reshape(2, 3, 4, 32)

    def run(x: jax.Array) -> jax.Array:
        return transition(x, *parameters, add_input=True)

    expected = transition_form(x, *parameters, add_input=True).reshape(cube.shape)
    assert_close(run(cube), expected, "float32")
    assert_close(jax.vmap(run)(cube), expected, "float32")
    assert run(cube[:0]).shape == (0, 3, 4, 32)


def test_other_dtypes_are_left_to_the_network() -> None:
    assert glu_transition(jnp.float16, 128, 512) is None
    assert glu_transition(jnp.dtype("bfloat16"), 128, 512) is transition

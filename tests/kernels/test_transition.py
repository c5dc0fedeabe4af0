"""The native transition against its JAX form and against AlphaFold 3's own module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.kernels.build.headers import SOURCE_FOLDER
from perfkit.kernels.registry import KERNELS
from perfkit.kernels.transition import glu_transition, transition, transition_form
from tests.kernels.levels import ALL_LEVELS, HIGHEST, loaded

TOLERANCE = {"float32": 2e-5, "bfloat16": 2.0**-6}
"""Of the largest number: rounding of the layer norm and of the gated unit to the dtype."""

TRANSITION = [kernel for kernel in KERNELS if kernel.name == "transition"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=ALL_LEVELS)
def any_level(request: pytest.FixtureRequest, cache: Any) -> Iterator[str]:
    """A level whose kernel is in use."""
    with loaded(request.param, TRANSITION, SOURCE_FOLDER, cache):
        yield request.param


@pytest.fixture
def highest_level(cache: Any) -> Iterator[None]:
    """The kernel of the highest level of this CPU is in use."""
    with loaded("".join(HIGHEST), TRANSITION, SOURCE_FOLDER, cache):
        yield


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


def assert_close(got: Any, expected: Any, dtype: str) -> None:
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    finite = np.abs(expected[np.isfinite(expected)])
    largest = finite.max() if finite.size else 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * largest)


@settings(max_examples=16, deadline=None)
@given(
    rows=st.integers(1, 200),
    channels=st.integers(1, 70) | st.sampled_from([64, 128]),
    hidden=st.integers(1, 150) | st.just(512),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    masked=st.booleans(),
    add_input=st.booleans(),
)
def test_kernel_agrees_with_its_jax_form(
    any_level: str,
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
    got = transition(*arrays, add_input=add_input)
    assert got.dtype == dtype
    assert_close(got, transition_form(*arrays, add_input=add_input), dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_that_are_not_finite_pass_as_in_the_jax_form(any_level: str, dtype: str) -> None:
    x, *parameters = operands(140, 32, 48, dtype)
    x = x.at[0, 3].set(jnp.nan).at[50, 0].set(jnp.inf).at[139, 31].set(-jnp.inf)
    keep = jnp.ones(140, dtype).at[50].set(0)
    for add_input in (False, True):
        got = transition(x, *parameters, keep, add_input=add_input)
        assert_close(got, transition_form(x, *parameters, keep, add_input=add_input), dtype)
    assert np.isnan(np.asarray(got[0], np.float32)).all()
    np.testing.assert_array_equal(got[50], x[50])


def test_blocks_without_a_kept_row_hold_the_input(highest_level: None) -> None:
    x, *parameters = operands(600, 64, 128, "bfloat16")
    keep = jnp.zeros(600).at[:100].set(0.5)
    got = transition(x, *parameters, keep, add_input=True)
    np.testing.assert_array_equal(got[100:], x[100:])
    assert_close(got, transition_form(x, *parameters, keep, add_input=True), "bfloat16")


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_network_computes_the_same_with_the_kernel(
    highest_level: None, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hk = pytest.importorskip("haiku")
    modules = pytest.importorskip("alphafold3.model.network.modules")
    if not hasattr(modules, "GLU_TRANSITION"):
        pytest.skip("this alphafold3 has no places for kernels")
    from alphafold3.model import model_config

    def block(x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        module = modules.TransitionBlock(
            modules.TransitionBlock.Config(), model_config.GlobalConfig(), name="transition"
        )
        return module(x), module(x, mask=mask, residual=x)

    network = hk.transform(block)
    random = np.random.default_rng(3)
    x = jnp.asarray(random.normal(size=(11, 13, 128)), dtype)
    mask = jnp.asarray(random.integers(0, 2, size=(11, 13)), dtype)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, mask)
    parameters = jax.tree.map(
        lambda leaf: jnp.asarray(
            random.normal(size=leaf.shape) * leaf.shape[0] ** -0.5, leaf.dtype
        ),
        shapes,
    )
    stock = network.apply(parameters, None, x, mask)
    monkeypatch.setattr(modules, "GLU_TRANSITION", glu_transition)
    assert jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype),
        jax.eval_shape(network.init, jax.random.key(0), x, mask),
    ) == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes)
    program = jax.jit(lambda: network.apply(parameters, None, x, mask))
    assert "perfkit.GluTransition" in program.lower().as_text()
    for got, expected in zip(program(), stock, strict=True):
        assert_close(got, expected, dtype)

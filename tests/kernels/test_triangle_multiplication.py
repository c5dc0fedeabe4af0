"""The native triangle multiplication against its JAX form and upstream's module."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.kernels.triangle_multiplication import (
    EQUATIONS,
    contract,
    contract_form,
    epilogue,
    epilogue_form,
    triangle_kernels,
)

pytestmark = pytest.mark.skipif(
    why_no_kernels() is not None, reason=f"no native kernels here: {why_no_kernels()}"
)

DTYPES = ("float32", "bfloat16")
DISTANCES = {"float32": 1e-5, "bfloat16": 5e-3}
"""Relative RMS distances that rounding explains: some units in the last place of each type."""


@pytest.fixture(autouse=True)
def whole_float32() -> Iterator[None]:
    """Let the JAX forms use float32 products."""
    with jax.default_matmul_precision("highest"):
        yield


@dataclasses.dataclass(frozen=True)
class Operands:
    """Random operands of both kernels; see their signatures."""

    contract: tuple[jax.Array, ...]
    epilogue: tuple[jax.Array, ...]


def operands(n: int, channels: int, hidden: int, dtype: str, seed: int = 0) -> Operands:
    generator = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0, centre: float = 0.0) -> jax.Array:
        return jnp.asarray(centre + scale * generator.standard_normal(shape), jnp.float32)

    def rounded(*shape: int, scale: float = 1.0) -> jax.Array:
        return normal(*shape, scale=scale).astype(dtype)

    x = rounded(n, n, channels, scale=3.0)
    norm = (normal(channels, scale=0.2, centre=1.0), normal(channels, scale=0.2))
    product_norm = (normal(hidden, scale=0.2, centre=1.0), normal(hidden, scale=0.2))
    wide, narrow = channels**-0.5, hidden**-0.5
    return Operands(
        contract=(
            x,
            *norm,
            rounded(channels, 2 * hidden, scale=wide),
            rounded(2 * hidden, scale=0.1),
            rounded(channels, 2 * hidden, scale=wide),
            rounded(2 * hidden, scale=0.1),
            jnp.asarray(generator.random((n, n)) < 0.8, dtype),
        ),
        epilogue=(
            rounded(hidden, n * n),
            x.reshape(n * n, channels),
            *norm,
            *product_norm,
            rounded(hidden, channels, scale=narrow),
            rounded(channels, scale=0.1),
            rounded(channels, channels, scale=wide),
            rounded(channels, scale=0.1),
        ),
    )


def agrees(values: jax.Array, expected: jax.Array, tolerance: float) -> bool:
    """Whether the relative RMS distance is within the tolerance."""
    found, wanted = np.asarray(values, np.float64), np.asarray(expected, np.float64)
    return bool(np.linalg.norm(found - wanted) <= tolerance * np.linalg.norm(wanted))


# Sizes around the blocks of the kernels: 16 rows, 16 (float32) or 32 (bfloat16) inner positions.
SIZES = st.sampled_from([1, 5, 16, 17, 33, 50])
CHANNELS = st.sampled_from([32, 64, 96])


@settings(max_examples=4, deadline=None, derandomize=True)
@given(n=SIZES, channels=CHANNELS, hidden=CHANNELS, dtype=st.sampled_from(DTYPES))
def check_products(n: int, channels: int, hidden: int, dtype: str) -> None:
    given_operands = operands(n, channels, hidden, dtype).contract
    for equation in EQUATIONS:
        found = contract(*given_operands, equation=equation)
        form = jax.jit(functools.partial(contract_form, equation=equation))
        assert found.shape == (hidden, n, n)
        assert found.dtype == dtype
        assert agrees(found, form(*given_operands), DISTANCES[dtype])


def test_the_product_is_that_of_the_jax_form(level: str) -> None:
    check_products()


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    n=SIZES,
    channels=CHANNELS,
    hidden=CHANNELS,
    dtype=st.sampled_from(DTYPES),
    add_input=st.booleans(),
)
def check_epilogue(n: int, channels: int, hidden: int, dtype: str, add_input: bool) -> None:
    given_operands = operands(n, channels, hidden, dtype).epilogue
    found = epilogue(*given_operands, add_input=add_input)
    form = jax.jit(functools.partial(epilogue_form, add_input=add_input))
    assert found.dtype == dtype
    assert agrees(found, form(*given_operands), DISTANCES[dtype])


def test_the_output_is_that_of_the_jax_form(level: str) -> None:
    check_epilogue()


def replaced(
    values: tuple[jax.Array, ...], operand: int, index: Any, value: float
) -> tuple[jax.Array, ...]:
    return (*values[:operand], values[operand].at[index].set(value), *values[operand + 1 :])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_pass_through_the_product(level: str, dtype: str) -> None:
    """NaN in one position of x spoils a row and a column; infinite weights meet masked zeros."""
    plain = operands(19, 32, 32, dtype).contract
    bias = 4
    for values in (
        replaced(plain, 0, (3, 18, 7), np.nan),
        replaced(plain, 0, (18, 3, 7), np.inf),
        replaced(plain, bias, 5, np.inf),
        replaced(replaced(plain, bias, 5, np.inf), 7, slice(None), 1.0),
    ):
        for equation in EQUATIONS:
            found = np.asarray(contract(*values, equation=equation), np.float32)
            expected = np.asarray(contract_form(*values, equation=equation), np.float32)
            assert not np.isfinite(expected).all()
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
            np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_infinity_and_saturated_gates_pass_through_the_epilogue(level: str, dtype: str) -> None:
    plain = operands(7, 32, 64, dtype).epilogue
    gate_bias = 9
    values = replaced(replaced(plain, 0, (3, 40), np.nan), 1, (2, 9), np.inf)
    for channel, bias in enumerate((-np.inf, np.inf, -200.0, 200.0)):
        values = replaced(values, gate_bias, channel, bias)
    found = np.asarray(epilogue(*values, add_input=False), np.float32)
    expected = np.asarray(epilogue_form(*values, add_input=False), np.float32)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found).any(axis=1)), [2, 40])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    tolerance = DISTANCES[dtype] * np.nanmax(np.abs(expected))
    np.testing.assert_allclose(found, expected, rtol=2 * DISTANCES[dtype], atol=tolerance)
    assert (np.delete(found, [2, 40], axis=0)[:, [0, 2]] == 0).all()


@pytest.mark.parametrize("add_input", [False, True])
def test_positions_that_are_left_out_get_no_update(level: str, add_input: bool) -> None:
    values = operands(20, 32, 32, "float32").epilogue
    keep = jnp.zeros(400, jnp.float32).at[130].set(1.0)
    kept = np.asarray(epilogue(*values, keep, add_input=add_input))
    whole = np.asarray(epilogue(*values, add_input=add_input))
    # A block has 32 positions: 130 is in the fifth, from 128 to 159.
    np.testing.assert_array_equal(kept[128:160], whole[128:160])
    left_out = np.asarray(values[1]) if add_input else np.zeros_like(whole)
    np.testing.assert_array_equal(kept[:128], left_out[:128])
    np.testing.assert_array_equal(kept[160:], left_out[160:])


@functools.cache
def upstream() -> Any:
    """Upstream's modules."""
    pytest.importorskip("alphafold3")
    from perfkit.models.af3.package import import_model

    import_model()
    from alphafold3.model.network import modules

    return modules


def module_output(equation: str, dtype: str, hook: Callable[..., Any] | None) -> Any:
    """Output of upstream's module for 37 tokens and 64 channels with random parameters."""
    modules = upstream()
    import haiku as hk
    from alphafold3.model import model_config
    from alphafold3.model.components import utils

    configuration = modules.TriangleMultiplication.Config(equation=equation)
    options = model_config.GlobalConfig(flash_attention_implementation="xla")
    x, *_, mask = operands(37, 64, 64, dtype).contract

    def forward(values: jax.Array, pair_mask: jax.Array) -> Any:
        module = modules.TriangleMultiplication(configuration, options, name="triangle")
        if dtype == "bfloat16":
            with utils.bfloat16_context():
                return module(values, pair_mask, residual=values) - values
        return module(values, pair_mask, residual=values) - values

    transformed = hk.transform(forward)
    parameters = transformed.init(jax.random.key(0), x, mask)
    leaves, tree = jax.tree.flatten(parameters)
    # The gates and the output are zero at first.
    varied = [
        leaf + 0.1 * jax.random.normal(jax.random.key(i), leaf.shape)
        for i, leaf in enumerate(leaves)
    ]
    before = modules.TRIMUL_KERNELS
    modules.TRIMUL_KERNELS = hook
    try:
        return jax.jit(transformed.apply)(jax.tree.unflatten(tree, varied), None, x, mask)
    finally:
        modules.TRIMUL_KERNELS = before


OUTGOING, INCOMING = "ikc,jkc->ijc", "kjc,kic->ijc"


@pytest.mark.parametrize(
    ("equation", "dtype", "tolerance"),
    # The classes of the pair embedding are 1e-3 and 0.1.
    [
        pytest.param(OUTGOING, "float32", 1e-5, id="outgoing-float32"),
        pytest.param(INCOMING, "bfloat16", 2e-2, id="incoming-bfloat16"),
        pytest.param(INCOMING, "float32", 1e-5, id="incoming-float32", marks=pytest.mark.slow),
        pytest.param(OUTGOING, "bfloat16", 2e-2, id="outgoing-bfloat16", marks=pytest.mark.slow),
    ],
)
def test_upstreams_module_gives_the_same_update(
    level: str, equation: str, dtype: str, tolerance: float
) -> None:
    calls: list[tuple[int, int]] = []

    def hook(dtype: Any, channels: int, hidden: int) -> Any:
        calls.append((channels, hidden))
        return triangle_kernels(dtype, channels, hidden)

    expected = module_output(equation, dtype, None)
    assert agrees(module_output(equation, dtype, hook), expected, tolerance)
    assert set(calls) == {(64, 64)}


def test_other_types_and_sizes_are_left_to_upstream() -> None:
    assert triangle_kernels(jnp.bfloat16, 128, 128) == (contract, epilogue)
    assert triangle_kernels(jnp.float32, 64, 128) == (contract, epilogue)
    assert triangle_kernels(jnp.float16, 128, 128) is None
    assert triangle_kernels(jnp.float32, 48, 128) is None
    assert triangle_kernels(jnp.float32, 128, 2048) is None

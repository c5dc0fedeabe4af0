"""Products, layer norm and functions of the shared headers, against NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.kernels.kernel import Kernel
from tests.kernels.levels import ALL_LEVELS, loaded
from tests.kernels.row_sum import SOURCES

KERNEL = Kernel("product", "product.cc", ("TestProduct", "TestLayerNorm", "TestFunctions"))

UNIT = {"float32": 2.0**-23, "bfloat16": 2.0**-7}
"""Distance of 1 from the next number."""


@pytest.fixture(scope="module", params=ALL_LEVELS)
def targets(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Registered names of the handlers of one level."""
    with loaded(request.param, tmp_path_factory, (KERNEL,), SOURCES) as names:
        yield names


def called(target: str, shape: tuple[int, ...], dtype: Any, *operands: Any, **options: bool) -> Any:
    result = jax.ShapeDtypeStruct(shape, dtype)
    values = jax.ffi.ffi_call(target, result)(
        *operands, **{name: np.bool_(value) for name, value in options.items()}
    )
    return np.asarray(values, np.float64)


@settings(max_examples=15, deadline=None)
@given(
    m=st.integers(1, 70),
    n=st.integers(1, 150),
    k=st.integers(1, 90) | st.sampled_from([600, 1056]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    transposed=st.booleans(),
    accumulate=st.booleans(),
)
def test_products_agree_with_float64(
    targets: dict[str, str],
    m: int,
    n: int,
    k: int,
    dtype: str,
    transposed: bool,
    accumulate: bool,
) -> None:
    random = np.random.default_rng([m, n, k])
    b = random.normal(size=(k, n)).astype(jnp.dtype(dtype))
    # A is a part of a wider matrix whose other columns must not be read into the result.
    a = np.full((m, k + 3), np.nan, jnp.dtype(dtype))
    a[:, :k] = random.normal(size=(m, k))
    initial = random.normal(size=(m, (n + 15) // 16 * 16)).astype(np.float32)
    got = called(
        targets["perfkit.TestProduct"],
        initial.shape,
        np.float32,
        a,
        np.ascontiguousarray(b.T) if transposed else b,
        initial,
        transposed=transposed,
        accumulate=accumulate,
    )
    left, right = np.asarray(a, np.float64)[:, :k], np.asarray(b, np.float64)
    start = initial[:, :n].astype(np.float64) * accumulate
    # Sums in any order differ by at most k roundings of the sum of absolute values.
    bound = UNIT["float32"] * k * (np.abs(left) @ np.abs(right) + np.abs(start))
    assert np.all(np.abs(got[:, :n] - (left @ right + start)) <= bound)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_nan_or_infinity_stays_in_its_row(targets: dict[str, str], dtype: str) -> None:
    a = np.ones((40, 50), jnp.dtype(dtype))
    a[3, 7], a[39, 49] = np.nan, np.inf
    initial = np.zeros((40, 32), np.float32)
    got = called(
        targets["perfkit.TestProduct"],
        initial.shape,
        np.float32,
        a,
        jnp.ones((50, 20), dtype),
        initial,
        transposed=False,
        accumulate=False,
    )[:, :20]
    assert np.isnan(got[3]).all()
    assert np.isposinf(got[39]).all()
    np.testing.assert_array_equal(np.delete(got, [3, 39], axis=0), 50)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels", [5, 64, 131])
def test_layer_norm_agrees_with_float64(targets: dict[str, str], dtype: str, channels: int) -> None:
    random = np.random.default_rng(channels)
    # The mean is large against the differences, where the difference of squares would lose digits.
    x = jnp.asarray(random.normal(30, 0.5, size=(9, channels)), dtype)
    scale = random.normal(size=channels).astype(np.float32)
    offset = random.normal(size=channels).astype(np.float32)
    got = called(targets["perfkit.TestLayerNorm"], x.shape, x.dtype, x, scale, offset)
    wide = np.asarray(x, np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1, keepdims=True)
    expected = centred / np.sqrt(variance + 1e-5) * scale + offset
    # The mean is rounded to float32, which the division by the deviation enlarges.
    np.testing.assert_allclose(got, expected, rtol=UNIT[dtype], atol=4e-5)


def test_exp_and_sigmoid_agree_with_float64(targets: dict[str, str]) -> None:
    x = np.linspace(-85, 85, 1237, dtype=np.float32)
    exp, sigmoid, coarse_exp, coarse_sigmoid, rounded = called(
        targets["perfkit.TestFunctions"], (5, x.size), np.float32, x
    )
    wide = x.astype(np.float64)
    np.testing.assert_allclose(exp, np.exp(wide), rtol=2 * UNIT["float32"])
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-wide)), rtol=3 * UNIT["float32"])
    np.testing.assert_allclose(coarse_exp, np.exp(wide), rtol=UNIT["bfloat16"] / 500)
    np.testing.assert_allclose(coarse_sigmoid, 1 / (1 + np.exp(-wide)), rtol=1e-4)
    np.testing.assert_array_equal(rounded, np.asarray(jnp.asarray(x, jnp.bfloat16), np.float64))


def test_exp_and_sigmoid_pass_nan_and_infinities(targets: dict[str, str]) -> None:
    x = np.asarray([np.nan, np.inf, -np.inf, 200, -200, 0], np.float32)
    results = called(targets["perfkit.TestFunctions"], (5, x.size), np.float32, x)
    exp, sigmoid = [np.nan, np.inf, 0, np.inf, 0, 1], [np.nan, 1, 0, 1, 0, 0.5]
    np.testing.assert_array_equal(results[[0, 2]], [exp, exp])
    np.testing.assert_allclose(results[[1, 3]], [sigmoid, sigmoid], rtol=1e-4, atol=1e-37)
    np.testing.assert_array_equal(results[4], np.asarray(jnp.asarray(x, jnp.bfloat16), np.float64))

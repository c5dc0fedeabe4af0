"""Triangle attention: the kernel, its JAX form and AlphaFold 3's own module agree."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perfkit.answers.agreement import AgreementClass, Tolerance, compare, relative_distance
from perfkit.kernels.build.availability import why_no_kernels

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from perfkit.kernels import triangle_attention  # noqa: E402
from perfkit.kernels.triangle_attention import (  # noqa: E402
    attention_form,
    bias_form,
    packed_attention,
    pair_projections,
)

pytestmark = pytest.mark.skipif(
    why_no_kernels() is not None, reason=f"no native kernels here: {why_no_kernels()}"
)

CLOSE = {"float32": 3e-6, "bfloat16": 0.02}
"""Largest relative RMS distance from the JAX form in float32: about 20 and 3 roundings."""


@dataclasses.dataclass(frozen=True)
class Operands:
    """Everything that one call takes, as arrays of NumPy in float32 and a mask."""

    x: NDArray[Any]
    scale: NDArray[Any]
    offset: NDArray[Any]
    weights: NDArray[Any]
    bias_weights: NDArray[Any]
    mask: NDArray[np.bool_]
    gate_bias: NDArray[Any]
    output_weights: NDArray[Any]
    output_bias: NDArray[Any]

    def rounded(self, dtype: str) -> Operands:
        """The numbers that are in this dtype, in float32."""
        rounded: dict[str, Any] = {
            name: np.array(jnp.asarray(value, dtype), np.float32)
            for name, value in vars(self).items()
            if name not in ("scale", "offset", "mask")
        }
        return dataclasses.replace(self, **rounded)


def operands(
    tokens: int, channels: int, heads: int, head_dim: int, seed: int = 0, kept: float = 1.0
) -> Operands:
    generator = np.random.default_rng(seed)
    width = heads * head_dim

    def normal(*shape: int, size: float = 1.0) -> NDArray[Any]:
        return (size * generator.normal(size=shape)).astype(np.float32)

    return Operands(
        x=normal(tokens, tokens, channels),
        scale=1 + normal(channels, size=0.2),
        offset=normal(channels, size=0.2),
        weights=normal(4, channels, width, size=channels**-0.5),
        bias_weights=normal(channels, heads, size=channels**-0.5),
        mask=generator.random((tokens, tokens)) < kept,
        gate_bias=normal(heads, head_dim),
        output_weights=normal(width, channels, size=width**-0.5),
        output_bias=normal(channels),
    )


def native(
    given: Operands,
    dtype: str,
    *,
    column: bool = False,
    residual: bool = False,
    bias: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Call the hooks as ``GridSelfAttention`` does."""
    rows, columns, channels = given.x.shape
    heads, head_dim = given.gate_bias.shape
    attend = packed_attention(jnp.dtype(dtype), head_dim)
    project = pair_projections(jnp.dtype(dtype), channels, heads, head_dim)
    assert attend is not None
    assert project is not None
    x = jnp.asarray(given.x, dtype).reshape(-1, channels)
    as_dtype = {name: jnp.asarray(value, dtype) for name, value in vars(given).items()}
    projected: Any = project[0](
        x, given.scale, given.offset, as_dtype["weights"], as_dtype["bias_weights"]
    )
    p, computed, _ = projected
    if bias is None:
        bias = computed.reshape(heads, rows, columns)
    o: Any = attend(
        p.reshape(rows, columns, -1, heads, head_dim),
        jnp.asarray(bias, dtype),
        jnp.asarray(given.mask),
        as_dtype["gate_bias"],
        sm_scale=head_dim**-0.5,
        column=column,
    )
    weights, shift = as_dtype["output_weights"], as_dtype["output_bias"]
    added = [x] if residual else []
    out = project[1](o.reshape(-1, heads * head_dim), weights, shift, *added)
    return np.asarray(out.reshape(rows, columns, channels), np.float32)


def expected(
    given: Operands,
    *,
    column: bool = False,
    residual: bool = False,
    bias: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """The JAX forms in float32."""
    rows, columns, channels = given.x.shape
    heads, head_dim = given.gate_bias.shape
    if bias is None:
        form = jax.jit(bias_form, static_argnames=("length",))
        flat = given.x.reshape(-1, channels)
        bias = form(flat, given.scale, given.offset, given.bias_weights, length=len(flat))
        bias = bias.reshape(heads, rows, columns)
    form = jax.jit(attention_form, static_argnames=("column", "add_residual", "softmax_scale"))
    return np.asarray(
        form(
            given.x,
            given.scale,
            given.offset,
            given.weights,
            bias,
            given.mask,
            given.gate_bias,
            given.output_weights,
            given.output_bias,
            given.x,
            column=column,
            add_residual=residual,
            softmax_scale=head_dim**-0.5,
        )
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kernel_computes_its_jax_form(level: str, dtype: str) -> None:
    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        tokens=st.sampled_from([1, 7, 16, 33, 50]),
        sizes=st.sampled_from([(64, 4, 16), (128, 4, 32), (32, 3, 32), (96, 2, 16)]),
        kept=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
        column=st.booleans(),
        residual=st.booleans(),
        seed=st.integers(0, 100),
    )
    def agrees(
        tokens: int,
        sizes: tuple[int, int, int],
        kept: float,
        column: bool,
        residual: bool,
        seed: int,
    ) -> None:
        case = operands(tokens, *sizes, seed=seed, kept=kept).rounded(dtype)
        found = native(case, dtype, column=column, residual=residual)
        wanted = expected(case, column=column, residual=residual)
        assert relative_distance(found, wanted) < CLOSE[dtype]

    agrees()


@pytest.mark.parametrize(("dtype", "column"), [("float32", False), ("bfloat16", True)])
def test_long_rows_take_their_keys_in_parts(level: str, dtype: str, column: bool) -> None:
    """Three rows of 700 tokens; the logits of the first part are far below those of the others."""
    square = operands(3, 64, 2, 32)
    shape = (700, 3) if column else (3, 700)
    generator = np.random.default_rng(2)
    bias = generator.normal(size=(2, 700, 700)).astype(np.float32)
    bias[0, :, :100] -= 60
    bias[1, :, :400] = -np.inf
    case = dataclasses.replace(
        square,
        x=generator.normal(size=(*shape, 64)).astype(np.float32),
        mask=generator.random((3, 700)) < 0.9,
    ).rounded(dtype)
    bias = np.array(jnp.asarray(bias, dtype), np.float32)
    found = native(case, dtype, column=column, bias=bias)
    wanted = expected(case, column=column, bias=bias)
    assert relative_distance(found, wanted) < CLOSE[dtype]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_row_without_keys_has_the_mean_of_all_values(level: str, dtype: str) -> None:
    """As equal logits give it: queries of zeros and no bias."""
    case = operands(21, 64, 2, 32)
    hidden = dataclasses.replace(case, mask=np.zeros_like(case.mask))
    equal = dataclasses.replace(case, weights=case.weights * np.array([0, 1, 1, 1])[:, None, None])
    no_bias = np.zeros((2, 21, 21), np.float32)
    by_mask, by_weights = native(hidden, dtype), native(equal, dtype, bias=no_bias)
    np.testing.assert_array_equal(by_mask, by_weights)
    assert not np.allclose(by_mask, native(case, dtype), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_infinities_and_nan_pass_as_in_the_jax_form(level: str, dtype: str) -> None:
    """A logit of NaN or infinity, or no other than minus infinity, makes its query NaN."""
    case = operands(20, 64, 2, 32).rounded(dtype)
    mask = case.mask.copy()
    mask[1, [2, 5]] = False
    bias = np.array(jnp.asarray(np.random.default_rng(1).normal(size=(2, 20, 20)), dtype))
    bias = bias.astype(np.float32)
    bias[0, 3] = -np.inf
    bias[1, 4, 5] = np.inf
    bias[0, 6, :10] = -np.inf
    bias[1, 7] = {"float32": np.finfo(np.float32).min, "bfloat16": -3.3895314e38}[dtype]
    bias[0, 8, 2] = np.nan
    x = case.x.copy()
    x[11, 12, 0] = np.nan
    x[13, 14, 1] = np.inf
    case = dataclasses.replace(case, x=x, mask=mask)
    found, wanted = native(case, dtype, bias=bias), expected(case, bias=bias)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    assert np.isnan(found[0]).all(axis=-1).nonzero()[0].tolist() == [3, 4, 8]
    # The mask hides the keys with NaN and infinity; their logits exceed minus infinity.
    assert not np.isnan(found[1]).any()
    assert np.isnan(found[11]).all()
    assert np.isnan(found[13]).all()
    numbers = ~np.isnan(wanted)
    assert relative_distance(found[numbers], wanted[numbers]) < CLOSE[dtype]


def test_large_logits_do_not_overflow(level: str) -> None:
    """The largest logit decides alone: the weights are 1 and 0."""
    case = operands(18, 64, 2, 32)
    bias = np.zeros((2, 18, 18), np.float32)
    bias[:, :, 5] = 3e38
    bias[:, :, 6] = -3e38
    assert relative_distance(native(case, "float32", bias=bias), expected(case, bias=bias)) < 3e-6


@pytest.mark.parametrize(
    ("dtype", "channels", "heads", "head_dim"),
    [
        ("float16", 128, 4, 32),
        ("float32", 128, 4, 8),
        ("float32", 128, 2, 64),
        ("bfloat16", 100, 4, 32),
        ("bfloat16", 128, 1, 16),
    ],
)
def test_what_the_kernel_does_not_serve_stays_with_xla(
    dtype: str, channels: int, heads: int, head_dim: int
) -> None:
    assert pair_projections(jnp.dtype(dtype), channels, heads, head_dim) is None


BOTH_HOOKS = ("PACKED_ATTENTION", "PAIR_PROJECTIONS")

TOLERANCES = {"update": Tolerance(float32=1e-5, bfloat16=0.05)}


@pytest.mark.parametrize(
    ("dtype", "column", "hooks"),
    [
        ("bfloat16", True, BOTH_HOOKS),
        pytest.param("float32", True, BOTH_HOOKS, marks=pytest.mark.slow),
        pytest.param("float32", False, BOTH_HOOKS, marks=pytest.mark.slow),
        pytest.param("bfloat16", False, BOTH_HOOKS, marks=pytest.mark.slow),
        pytest.param("float32", True, BOTH_HOOKS[:1], marks=pytest.mark.slow),
    ],
)
def test_the_module_of_alphafold_gives_the_same_with_the_hooks(
    highest_level: None, dtype: str, column: bool, hooks: tuple[str, ...]
) -> None:
    pytest.importorskip("alphafold3")
    import haiku as hk

    from perfkit.models.af3.package import import_model

    import_model()
    from alphafold3.model import model_config
    from alphafold3.model.network import modules

    generator = np.random.default_rng(0)
    pair = jnp.asarray(generator.normal(size=(21, 21, 64)), dtype)
    mask = jnp.asarray(generator.random((21, 21)) < 0.8, dtype)

    def update(act: Any, pair_mask: Any) -> Any:
        config = model_config.GlobalConfig()
        config.flash_attention_implementation = "xla"
        config.pair_attention_chunk_size = ((None, None),)
        module = modules.GridSelfAttention(
            modules.GridSelfAttention.Config(), config, column, name="attention"
        )
        return module(act, pair_mask)

    transformed = hk.transform(update)
    key = jax.random.PRNGKey(0)
    # Upstream begins with zeros for the gate and the output, which would hide both.
    parameters = jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), leaf.dtype) / 8,
        jax.jit(transformed.init)(key, pair, mask),
    )
    stock = jax.jit(transformed.apply)(parameters, key, pair, mask)
    try:
        for hook in hooks:
            setattr(modules, hook, getattr(triangle_attention, hook.lower()))
        kernel = jax.jit(lambda *given: transformed.apply(*given))(parameters, key, pair, mask)
    finally:
        for hook in hooks:
            setattr(modules, hook, None)
    agreement = compare(
        {"update": np.asarray(kernel, np.float32)},
        {"update": np.asarray(stock, np.float32)},
        TOLERANCES,
    )
    wanted = AgreementClass.FLOAT32 if dtype == "float32" else AgreementClass.BFLOAT16
    assert agreement.within(wanted), agreement.sentence()

"""The kernels of the diffusion transformer against their JAX forms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfkit.kernels.adaptive import Conditioning
from perfkit.kernels.adaptive_attention import (
    AffineNorm,
    Projections,
    self_attention,
    self_attention_form,
)
from perfkit.kernels.adaptive_transition import adaptive_transition, adaptive_transition_form
from perfkit.kernels.atom_attention import KeyNorm, Windows, atom_attention, atom_attention_form
from perfkit.kernels.packed_weights import PACKING_LEVELS, are_packable, packed, unpacked
from perfkit.kernels.triangle_attention import bias_form, pair_bias
from tests.kernels.agreement import assert_close

LAYERS = 3
LAYER = jnp.int32(1)


class Numbers:
    """Random arrays of one dtype; weights have the size that keeps activations of order 1."""

    def __init__(self, dtype: str, *seed: int) -> None:
        self.dtype = dtype
        self.random = np.random.default_rng(seed)

    def normal(self, *shape: int, size: float = 1, mean: float = 0, dtype: str = "") -> jax.Array:
        return jnp.asarray(self.random.normal(mean, size, shape), dtype or self.dtype)

    def weights(self, inputs: int, outputs: int) -> jax.Array:
        return self.normal(LAYERS, inputs, outputs, size=inputs**-0.5)

    def conditioning(self, tokens: int, depth: int, channels: int) -> Conditioning:
        return Conditioning(
            self.normal(tokens, depth),
            self.normal(LAYERS, depth, mean=1, size=0.2, dtype="float32"),
            self.weights(depth, channels),
            self.normal(LAYERS, channels),
            self.weights(depth, channels),
            self.weights(depth, channels),
            self.normal(LAYERS, channels),
        )

    def projections(self, channels: int, width: int) -> Projections:
        key, value, gate = (self.weights(channels, width) for _ in range(3))
        query, out = self.weights(channels, width), self.weights(width, channels)
        return Projections(query, self.normal(LAYERS, width), key, value, gate, out)


dtypes = st.sampled_from(["float32", "bfloat16"])


@pytest.fixture(scope="module")
def packing_level(level: str) -> str:
    """A level that has products of bfloat16."""
    if level not in PACKING_LEVELS:
        pytest.skip(f"{level} packs no weights")
    return level


def packed_conditioning(by: Conditioning) -> Conditioning:
    return by._replace(
        scale_weights=packed(by.scale_weights),
        shift_weights=packed(by.shift_weights),
        gate_weights=packed(by.gate_weights),
    )


def packed_projections(projections: Projections) -> Projections:
    query, bias, *others = projections
    return Projections(packed(query), bias, *map(packed, others))


@settings(max_examples=3, deadline=None)
@given(
    samples=st.integers(1, 3),
    tokens=st.integers(1, 90),
    channels=st.sampled_from([32, 96]),
    hidden=st.sampled_from([32, 160]),
)
@example(samples=2, tokens=300, channels=160, hidden=192)
def test_a_transition_with_packed_weights_is_the_same(
    packing_level: str, samples: int, tokens: int, channels: int, hidden: int
) -> None:
    numbers = Numbers("bfloat16", samples, tokens, channels)
    x = numbers.normal(samples, tokens, channels, mean=0.3)
    weights = (numbers.weights(channels, 2 * hidden), numbers.weights(hidden, channels))
    by = numbers.conditioning(tokens, 64, channels)
    first, second = map(packed, weights)
    laid_out = packed_conditioning(by)

    @jax.jit
    def all_ways(x: jax.Array) -> tuple[jax.Array, ...]:
        def kernel(x: jax.Array) -> jax.Array:
            return adaptive_transition(x, LAYER, first, second, laid_out, packed=True)

        plain = jax.vmap(lambda x: adaptive_transition(x, LAYER, *weights, by))(x)
        form = adaptive_transition_form(x, LAYER, first, second, *laid_out, packed=True)
        return plain, jax.vmap(kernel)(x), form

    plain, got, form = all_ways(x)
    np.testing.assert_array_equal(got, plain)
    assert_close(got, form, "bfloat16")


@settings(max_examples=3, deadline=None)
@given(
    samples=st.integers(1, 3),
    tokens=st.integers(1, 90),
    heads=st.sampled_from([2, 4]),
    head_dim=st.sampled_from([16, 48]),
)
def test_attention_with_packed_weights_is_the_same(
    packing_level: str, samples: int, tokens: int, heads: int, head_dim: int
) -> None:
    numbers = Numbers("bfloat16", samples, tokens, heads, head_dim)
    x = numbers.normal(samples, tokens, 64)
    pair = numbers.normal(tokens, 2, heads, tokens)
    mask = jnp.ones(tokens)
    projections, by = (
        numbers.projections(64, heads * head_dim),
        numbers.conditioning(tokens, 32, 64),
    )
    laid_out = packed_projections(projections), packed_conditioning(by)

    @jax.jit
    def all_ways(x: jax.Array) -> tuple[jax.Array, ...]:
        plain = jax.vmap(lambda x: self_attention(x, LAYER, mask, pair, projections, by))(x)
        got = jax.vmap(lambda x: self_attention(x, LAYER, mask, pair, *laid_out, packed=True))(x)
        form = self_attention_form(
            x,
            LAYER,
            mask,
            pair,
            *laid_out[0],
            *laid_out[1],
            conditioned=True,
            softmax_scale=head_dim**-0.5,
            packed=True,
        )
        return plain, got, form

    plain, got, form = all_ways(x)
    np.testing.assert_array_equal(got, plain)
    assert_close(got, form, "bfloat16")


def test_weights_that_cannot_be_packed_are_refused(packing_level: str) -> None:
    assert are_packable("bfloat16", 64, 48)
    assert not are_packable("bfloat16", 48, 48)
    assert not are_packable("bfloat16", 64, 40)
    assert not are_packable("float32", 64, 48)
    numbers = Numbers("float32", 1)
    by, x = numbers.conditioning(8, 64, 32), numbers.normal(8, 32)
    weights = (numbers.weights(32, 64), numbers.weights(32, 32))
    with pytest.raises(jax.errors.JaxRuntimeError, match="cannot be packed"):
        jax.block_until_ready(adaptive_transition(x, LAYER, *weights, by, packed=True))


def test_packing_can_be_undone() -> None:
    weights = Numbers("float32", 2).normal(2, 64, 48)
    laid_out = packed(weights)
    assert laid_out.shape == weights.shape
    # The first panel begins with the first two rows, whose columns alternate.
    np.testing.assert_array_equal(laid_out[1].reshape(-1)[:32:2], weights[1, 0, :16])
    np.testing.assert_array_equal(laid_out[1].reshape(-1)[1:32:2], weights[1, 1, :16])
    np.testing.assert_array_equal(unpacked(laid_out), weights)


@settings(max_examples=3, deadline=None)
@given(
    samples=st.integers(1, 3),
    tokens=st.integers(1, 90),
    channels=st.integers(1, 70) | st.just(128),
    hidden=st.integers(1, 150) | st.just(256),
    depth=st.integers(1, 40) | st.just(64),
    dtype=dtypes,
)
@example(samples=2, tokens=300, channels=48, hidden=64, depth=32, dtype="bfloat16")
def test_transition_agrees_with_its_jax_form(
    level: str, samples: int, tokens: int, channels: int, hidden: int, depth: int, dtype: str
) -> None:
    numbers = Numbers(dtype, samples, tokens, channels)
    x = numbers.normal(samples, tokens, channels, mean=0.3)
    weights = (numbers.weights(channels, 2 * hidden), numbers.weights(hidden, channels))
    by = numbers.conditioning(tokens, depth, channels)

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        got = jax.vmap(lambda x: adaptive_transition(x, LAYER, *weights, by))(x)
        return got, adaptive_transition_form(x, LAYER, *weights, *by)

    got, expected = both(x)
    assert got.dtype == dtype
    assert_close(got, expected, dtype)


def attention_operands(
    dtype: str, samples: int, tokens: int, heads: int, head_dim: int, conditioned: bool
) -> list[Any]:
    numbers = Numbers(dtype, samples, tokens, heads, head_dim)
    channels = 40
    by: Conditioning | AffineNorm = AffineNorm(
        numbers.normal(LAYERS, channels, mean=1, size=0.2, dtype="float32"),
        numbers.normal(LAYERS, channels, dtype="float32"),
    )
    if conditioned:
        by = numbers.conditioning(tokens, 24, channels)
    return [
        numbers.normal(samples, tokens, channels),
        LAYER,
        jnp.ones(tokens),
        numbers.normal(tokens, 2, heads, tokens),
        numbers.projections(channels, heads * head_dim),
        by,
    ]


def both_attentions(given: list[Any]) -> tuple[jax.Array, jax.Array]:
    """What the kernel computes, and what its JAX form does."""
    x, layer, mask, pair, projections, by = given
    width, heads = projections.query_weights.shape[-1], pair.shape[2]

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        got = jax.vmap(lambda x: self_attention(x, layer, mask, pair, projections, by))(x)
        form = self_attention_form(
            x,
            layer,
            mask,
            pair,
            *projections,
            *by,
            conditioned=isinstance(by, Conditioning),
            softmax_scale=(width // heads) ** -0.5,
        )
        return got, form

    got, form = both(x)
    return got, form


@settings(max_examples=3, deadline=None)
@given(
    samples=st.integers(1, 3),
    tokens=st.integers(1, 90),
    heads=st.integers(1, 5),
    head_dim=st.sampled_from([8, 16, 24, 32, 48]),
    kept=st.sampled_from([0.0, 0.5, 1.0]),
    conditioned=st.booleans(),
    dtype=dtypes,
)
@example(1, 350, 1, 48, 0.9, True, "bfloat16")
@example(2, 33, 2, 24, 0.0, False, "float32")
def test_attention_agrees_with_its_jax_form(
    level: str,
    samples: int,
    tokens: int,
    heads: int,
    head_dim: int,
    kept: float,
    conditioned: bool,
    dtype: str,
) -> None:
    """Also if no key is kept: a softmax over many keys has more than one part."""
    given = attention_operands(dtype, samples, tokens, heads, head_dim, conditioned)
    given[2] = jnp.asarray(np.random.default_rng(tokens).random(tokens) < kept, "float32")
    got, expected = both_attentions(given)
    assert got.dtype == dtype
    assert_close(got, expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_numbers_that_are_not_finite_pass_as_in_the_jax_form(level: str, dtype: str) -> None:
    given = attention_operands(dtype, 3, 20, 2, 16, conditioned=True)
    given[0] = given[0].at[2, 5, 0].set(jnp.nan)
    pair = given[3].at[3, 1, 0, 7].set(jnp.inf).at[4, 1, 1, 2].set(jnp.nan)
    given[3] = pair.at[6, 1, 0, 1:].set(-jnp.inf).at[8, 1, 1].set(-jnp.inf)
    got, expected = (np.asarray(each, np.float32) for each in both_attentions(given))
    lost = np.isnan(got).any(axis=2)
    assert lost[2].all()
    np.testing.assert_array_equal(np.flatnonzero(lost[0]), [3, 4, 8])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    assert_close(got, expected, dtype)


@settings(max_examples=3, deadline=None)
@given(
    runs=st.integers(1, 4),
    length=st.integers(1, 100),
    channels=st.integers(1, 70) | st.sampled_from([16, 128]),
    heads=st.integers(1, 70),
    dtype=dtypes,
)
def test_pair_bias_agrees_with_its_jax_form(
    level: str, runs: int, length: int, channels: int, heads: int, dtype: str
) -> None:
    numbers = Numbers(dtype, runs, length, channels, heads)
    given = (
        numbers.normal(runs * length, channels, mean=0.3),
        numbers.normal(channels, mean=1, size=0.2, dtype="float32"),
        numbers.normal(channels, dtype="float32"),
        numbers.weights(channels, heads)[0],
    )

    @jax.jit
    def both(
        x: jax.Array, scale: jax.Array, offset: jax.Array, weights: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        return (
            pair_bias(x, scale, offset, weights, length),
            bias_form(x, scale, offset, weights, length=length),
        )

    got, expected = both(*given)
    assert got.dtype == dtype
    assert_close(got, expected, dtype)


def windows_of(subsets: int, queries: int, keys: int, atoms: int) -> Windows:
    """Windows around the subsets, moved into the ``atoms`` that exist, as upstream moves them."""
    first = np.arange(subsets) * queries + queries // 2 - keys // 2
    first = np.clip(first, 0, max(0, atoms - keys))
    places = first[:, None] + np.arange(keys)
    exists = places < atoms
    return Windows(
        jnp.asarray(np.arange(subsets * queries) < atoms, "float32"),
        jnp.asarray(exists, "float32"),
        jnp.asarray(np.where(exists, places, 0), "int32"),
        jnp.asarray(exists),
    )


@settings(max_examples=2, deadline=None)
@given(
    samples=st.integers(1, 3),
    subsets=st.integers(1, 5),
    heads=st.integers(1, 3),
    missing=st.integers(0, 40),
)
@example(samples=2, subsets=4, heads=2, missing=5)
@example(samples=1, subsets=2, heads=1, missing=40)
def test_attention_of_atoms_agrees_with_its_jax_form(
    level: str, samples: int, subsets: int, heads: int, missing: int
) -> None:
    """With runs of atoms, and with windows in which keys are missing or masked."""
    numbers = Numbers("float32", samples, subsets, heads)
    queries, keys, channels, head_dim, depth = 32, 64, 48, 32, 24
    atoms = subsets * queries
    windows = windows_of(subsets, queries, keys, max(1, atoms - missing))
    x = numbers.normal(samples, atoms, channels)
    pair = numbers.normal(atoms, 2, heads, keys)
    projections = numbers.projections(channels, heads * head_dim)
    by = numbers.conditioning(atoms, depth, channels)
    norm = KeyNorm(*numbers.conditioning(atoms, depth, channels)[1:5])

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        got = jax.vmap(lambda x: atom_attention(x, LAYER, windows, pair, projections, by, norm))(x)
        form = atom_attention_form(
            x, LAYER, *windows, pair, *projections, *by, *norm, softmax_scale=head_dim**-0.5
        )
        return got, form

    got, expected = both(x)
    assert_close(got, expected, "float32")

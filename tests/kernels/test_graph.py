"""The native kernels of graph networks against their JAX forms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax.extend.core import Literal, jaxpr_as_fun

from perfkit.kernels.edge_messages import Edges, MessageLayers, edge_messages
from perfkit.kernels.mlp_block import Modulation, Surroundings, mlp_block
from perfkit.kernels.patch_attention import Patches, patch_attention
from perfkit.kernels.primitive import KERNEL
from tests.kernels.agreement import assert_close

DTYPES = ["float32", "bfloat16"]


def normal(seed: int, *shape: int, dtype: str = "float32", size: float = 1.0) -> jax.Array:
    random = np.random.default_rng([seed, *shape])
    return jnp.asarray(random.normal(size=shape) * size, dtype)


def weights(inputs: int, outputs: int, dtype: str) -> jax.Array:
    """Weights that keep activations of order 1."""
    return normal(6, inputs, outputs, dtype=dtype, size=inputs**-0.5)


def modulation(channels: int) -> Modulation:
    return Modulation(1 + normal(7, channels, size=0.2), normal(8, channels, size=0.2))


def by_form(function: Callable[..., Any], *operands: Any) -> Any:
    """What a function computes with the JAX form in place of its native kernel."""
    leaves, _ = jax.tree.flatten(operands)
    program, shape = jax.make_jaxpr(function, return_shape=True)(*operands)
    values: dict[Any, Any] = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    values |= dict(zip(program.jaxpr.invars, leaves, strict=True))
    kernels = 0
    for equation in program.jaxpr.eqns:
        given = [v.val if isinstance(v, Literal) else values[v] for v in equation.invars]
        if equation.primitive is KERNEL:
            kernels += 1
            results = jaxpr_as_fun(equation.params["jaxpr"])(*given)
        else:
            parameters = equation.primitive.get_bind_params(equation.params)
            results = equation.primitive.bind(*given, **parameters)
            results = results if equation.primitive.multiple_results else [results]
        values |= dict(zip(equation.outvars, results, strict=True))
    assert kernels == 1
    found = [values[v] for v in program.jaxpr.outvars]
    return jax.tree.unflatten(jax.tree.structure(shape), found)


def assert_as_form(dtype: str, function: Callable[..., Any], *operands: Any) -> Any:
    """Assert that kernel and form agree; return the kernel's result."""
    got, expected = jax.jit(function)(*operands), by_form(function, *operands)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype == dtype
        assert_close(one, other, dtype)
    return got


def random_edges(edges: int, senders: int, receivers: int, rank: int, dtype: str) -> Edges:
    """Edges of which several connect the same nodes; some receivers have many, some have none."""
    random = np.random.default_rng([edges, senders, receivers])
    ends = np.sort(random.integers(0, receivers, edges) ** 2 // receivers)
    return Edges(
        normal(1, edges, rank, dtype=dtype),
        jnp.asarray(random.integers(0, senders, edges), jnp.int32),
        jnp.asarray(ends, jnp.int32),
    )


def message_layers(rank: int, channels: int, outputs: int, dtype: str) -> MessageLayers:
    return MessageLayers(
        weights(rank, channels, dtype),
        weights(channels, outputs, dtype),
        normal(9, outputs, size=0.2),
        modulation(outputs),
    )


@settings(max_examples=4, deadline=None)
@given(
    edges=st.integers(0, 700),
    senders=st.integers(1, 40),
    receivers=st.integers(1, 90),
    rank=st.integers(1, 40) | st.sampled_from([32, 64]),
    channels=st.integers(1, 70) | st.just(64),
    outputs=st.integers(1, 70) | st.just(64),
    dtype=st.sampled_from(DTYPES),
    divisor=st.sampled_from([1.0, 3.0]),
)
@example(1300, 1, 1, 24, 64, 64, "bfloat16", 1.0)
def test_messages_agree_with_the_jax_form(
    level: str,
    edges: int,
    senders: int,
    receivers: int,
    rank: int,
    channels: int,
    outputs: int,
    dtype: str,
    divisor: float,
) -> None:
    assert_as_form(
        dtype,
        functools.partial(edge_messages, divisor=divisor),
        random_edges(edges, senders, receivers, rank, dtype),
        normal(2, senders, channels, dtype=dtype),
        normal(3, receivers, channels, dtype=dtype),
        message_layers(rank, channels, outputs, dtype),
    )


def test_messages_are_those_of_a_loop_over_the_edges(level: str) -> None:
    edges = random_edges(150, 9, 20, 5, "float32")
    sent, received = normal(2, 9, 24), normal(3, 20, 24)
    layers = message_layers(5, 24, 12, "float32")
    sums = np.zeros((20, 12))
    for features, sender, receiver in zip(*map(np.asarray, edges), strict=True):
        x = features @ np.asarray(layers.feature_weights, np.float64)
        x = x + np.asarray(sent, np.float64)[sender] + np.asarray(received, np.float64)[receiver]
        message = x / (1 + np.exp(-x)) @ np.asarray(layers.weights) + np.asarray(layers.bias)
        normalised = (message - message.mean()) / np.sqrt(message.var() + 1e-5)
        sums[receiver] += normalised * np.asarray(layers.norm.scale) + np.asarray(
            layers.norm.offset
        )
    got = edge_messages(edges, sent, received, layers, divisor=4.0)
    assert_close(got, sums / 4, "float32")
    without = np.setdiff1d(np.arange(20), edges.receivers)
    assert without.size > 0
    assert not np.asarray(got)[without].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_messages_that_are_not_finite_reach_their_receivers_only(level: str, dtype: str) -> None:
    edges = random_edges(400, 30, 60, 8, dtype)
    edges = edges._replace(features=edges.features.at[7].set(jnp.nan))
    sent = normal(2, 30, 48, dtype=dtype).at[3, 5].set(jnp.inf).at[4, 0].set(jnp.nan)
    received = normal(3, 60, 48, dtype=dtype).at[50, 2].set(-jnp.inf)
    layers = message_layers(8, 48, 40, dtype)
    got = assert_as_form(dtype, edge_messages, edges, sent, received, layers)
    bad = np.isnan(np.asarray(got, np.float32))
    senders, receivers = np.asarray(edges.senders), np.asarray(edges.receivers)
    hit = {int(receivers[7])} | set(receivers[np.isin(senders, (3, 4))].tolist())
    hit |= {50} & set(receivers.tolist())
    assert set(np.flatnonzero(bad.any(axis=1)).tolist()) == hit
    assert bad.all(axis=1).sum() == len(hit) < 60


@pytest.mark.parametrize("receivers", [[0, 2, 1], [-1, 0, 1], [0, 1, 3]])
def test_receivers_that_do_not_ascend_or_exist_are_refused(
    highest_level: None, receivers: list[int]
) -> None:
    edges = Edges(normal(1, 3, 4), jnp.zeros(3, jnp.int32), jnp.asarray(receivers, jnp.int32))
    layers = message_layers(4, 8, 8, "float32")
    with pytest.raises(Exception, match="must exist and ascend"):
        edge_messages(edges, normal(2, 2, 8), normal(3, 3, 8), layers).block_until_ready()


def test_a_sender_out_of_bounds_is_the_nearest(highest_level: None) -> None:
    edges = Edges(normal(1, 3, 4), jnp.asarray([-5, 1, 9], jnp.int32), jnp.arange(3))
    layers = message_layers(4, 8, 8, "float32")
    operands = (normal(2, 2, 8), normal(3, 3, 8), layers)
    inside = edges._replace(senders=jnp.asarray([0, 1, 1], jnp.int32))
    got = assert_as_form("float32", edge_messages, edges, *operands)
    np.testing.assert_array_equal(got, edge_messages(inside, *operands))


def block_operands(rows: int, widths: list[int], hidden: int, outputs: int, dtype: str) -> Any:
    inputs = [
        (normal(i, rows, width, dtype=dtype) + dtype_of(0.3, dtype), weights(width, hidden, dtype))
        for i, width in enumerate(widths)
    ]
    second = (weights(hidden, outputs, dtype), normal(4, outputs, size=0.2))
    return inputs, normal(5, hidden, size=0.2), second


def dtype_of(number: float, dtype: str) -> jax.Array:
    return jnp.asarray(number, dtype)


@settings(max_examples=5, deadline=None)
@given(
    rows=st.integers(1, 300),
    widths=st.lists(st.integers(1, 70), min_size=1, max_size=2),
    hidden=st.integers(1, 70) | st.sampled_from([64, 600]),
    outputs=st.integers(1, 70) | st.just(64),
    projections=st.integers(0, 90),
    dtype=st.sampled_from(DTYPES),
    chosen=st.tuples(*[st.booleans()] * 5),
)
@example(130, [64], 1100, 64, 0, "bfloat16", (False, True, True, False, True))
@example(40, [33, 64], 530, 33, 80, "float32", (True, False, True, True, True))
def test_blocks_agree_with_the_jax_form(
    level: str,
    rows: int,
    widths: list[int],
    hidden: int,
    outputs: int,
    projections: int,
    dtype: str,
    chosen: tuple[bool, ...],
) -> None:
    added, gelu, first_norm, last_norm, residual = chosen
    if residual:
        widths = [outputs, *widths[1:]]
    around = Surroundings(
        added=normal(10, rows, hidden, dtype=dtype) if added else None,
        first_norm=modulation(widths[0]) if first_norm else None,
        last_norm=modulation(outputs) if last_norm else None,
        projection=weights(outputs, projections, dtype) if projections else None,
    )

    def block(inputs: Any, bias: Any, second: Any, around: Surroundings) -> list[jax.Array]:
        # Tracing makes arrays of the two choices.
        return mlp_block(inputs, bias, second, around._replace(gelu=gelu, residual=residual))

    operands = block_operands(rows, widths, hidden, outputs, dtype)
    assert_as_form(dtype, block, *operands, around)


def test_a_block_is_two_layers_with_what_surrounds_them(level: str) -> None:
    [(x, first)], bias, (second, second_bias) = block_operands(50, [24], 40, 24, "float32")
    norm, around = modulation(24), Surroundings(gelu=True, residual=True)
    [got] = mlp_block([(x, first)], bias, (second, second_bias), around._replace(first_norm=norm))
    wide = np.asarray(x, np.float64)
    normed = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    y = (normed * np.asarray(norm.scale) + np.asarray(norm.offset)) @ np.asarray(first)
    y = y + np.asarray(bias)
    gelu = y / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    expected = wide + gelu @ np.asarray(second) + np.asarray(second_bias)
    assert_close(got, expected, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_are_not_finite_stay_rows(level: str, dtype: str) -> None:
    inputs, bias, second = block_operands(150, [32, 16], 48, 32, dtype)
    (x, first), other = inputs
    x = x.at[0, 3].set(jnp.nan).at[70, 0].set(jnp.inf).at[149, 31].set(-jnp.inf)
    around = Surroundings(last_norm=modulation(32), projection=weights(32, 20, dtype))

    def block(*inputs: Any) -> list[jax.Array]:
        return mlp_block(inputs, bias, second, around)

    for result in assert_as_form(dtype, block, (x, first), other):
        bad = np.isnan(np.asarray(result, np.float32))
        assert np.flatnonzero(bad.all(axis=1)).tolist() == [0, 70, 149]
        assert bad.any(axis=1).sum() == 3


def random_patches(nodes: int, most: int, keys: int) -> Patches:
    """Patches of unequal size whose short rows are filled with node 0."""
    random = np.random.default_rng([nodes, most, keys])
    order = random.permutation(nodes)
    cuts = range(0, nodes, most)
    members = [np.sort(order[cut : cut + most - index % 2]) for index, cut in enumerate(cuts)]
    left = np.setdiff1d(np.arange(nodes), np.concatenate(members))
    members += [left[start : start + most] for start in range(0, len(left), most)]
    queries = np.zeros((len(members), most), np.int32)
    near = np.zeros((len(members), keys), np.int32)
    allowed = np.zeros((len(members), most, keys), bool)
    places = np.zeros(nodes, np.int32)
    for index, patch in enumerate(members):
        count = min(nodes, keys - index % 3)
        queries[index, : len(patch)] = patch
        near[index, :count] = random.permutation(nodes)[:count]
        allowed[index, : len(patch), :count] = random.random((len(patch), count)) < 0.5
        places[patch] = index * most + np.arange(len(patch))
    return Patches(*map(jnp.asarray, (queries, near, places, allowed)))


@settings(max_examples=4, deadline=None)
@given(
    nodes=st.integers(4, 60),
    most=st.integers(2, 40),
    keys=st.integers(3, 60) | st.just(700),
    heads=st.integers(1, 3),
    size=st.integers(1, 40) | st.sampled_from([32, 128]),
    dtype=st.sampled_from(DTYPES),
)
@example(60, 33, 400, 2, 128, "bfloat16")
def test_attention_of_patches_agrees_with_the_jax_form(
    level: str, nodes: int, most: int, keys: int, heads: int, size: int, dtype: str
) -> None:
    operands = [normal(i, nodes, heads, size, dtype=dtype) for i in range(3)]
    assert_as_form(dtype, patch_attention, *operands, random_patches(nodes, most, keys))


def test_attention_of_patches_is_a_masked_softmax(level: str) -> None:
    nodes, heads, size = 50, 2, 24
    queries, keys, values = (normal(i, nodes, heads, size) for i in range(3))
    patches = random_patches(nodes, 12, 40)
    got = np.asarray(patch_attention(queries, keys, values, patches))
    logits = np.einsum("qhd,khd->hqk", *map(np.float64, (queries, keys))) / np.sqrt(size)
    for node in range(nodes):
        patch, row = divmod(int(patches.places[node]), 12)
        seen = np.asarray(patches.keys[patch])[np.asarray(patches.allowed[patch, row])]
        assert len(seen) > 0
        shares = np.exp(logits[:, node, seen])
        shares /= shares.sum(axis=1, keepdims=True)
        expected = np.einsum("hk,khd->hd", shares, np.asarray(values, np.float64)[seen])
        np.testing.assert_allclose(got[node], expected, atol=2e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_attention_passes_what_is_not_finite_as_the_jax_form_does(level: str, dtype: str) -> None:
    queries, keys, values = (normal(i, 40, 2, 32, dtype=dtype) for i in range(3))
    patches = random_patches(40, 16, 24)
    queries = queries.at[5, 0, 0].set(jnp.nan)
    keys = keys.at[7, 1, 3].set(jnp.inf)
    values = values.at[9, 0, 1].set(-jnp.inf)
    # Node 11 sees nothing: all weights are equal.
    patch, row = divmod(int(patches.places[11]), 16)
    patches = patches._replace(allowed=patches.allowed.at[patch, row].set(False))
    got = assert_as_form(dtype, patch_attention, queries, keys, values, patches)
    assert np.isnan(np.asarray(got, np.float32))[5, 0].all()
    assert not np.isnan(np.asarray(got, np.float32)[:, 1]).all()

"""Messages along the edges of a graph network, as in GenCast's encoder and decoder."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import wide_product
from perfkit.kernels.forms import layer_norm
from perfkit.kernels.mlp_block import Modulation
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.EdgeMessages"


class Edges(NamedTuple):
    """Directed edges with their features.

    Attributes
    ----------
    features
        Shape ``(edges, rank)``.
    senders
        Node that sends, int32, shape ``(edges,)``. As in XLA's gather, a number out of bounds
        stands for the nearest node.
    receivers
        Node that receives, int32, shape ``(edges,)``, ascending.
    """

    features: jax.Array
    senders: jax.Array
    receivers: jax.Array


class MessageLayers(NamedTuple):
    """Parameters of the messages.

    Attributes
    ----------
    feature_weights
        Weights of the first layer for the features of the edges, shape ``(rank, channels)``.
    weights, bias
        The second layer, shapes ``(channels, outputs)`` and ``(outputs,)``.
    norm
        Modulation after the layer norm, shape ``(outputs,)``.
    """

    feature_weights: jax.Array
    weights: jax.Array
    bias: jax.Array
    norm: Modulation


def edge_messages(
    edges: Edges,
    sent: jax.Array,
    received: jax.Array,
    layers: MessageLayers,
    divisor: float = 1.0,
) -> jax.Array:
    """Sum the messages into each receiver with the native kernel.

    A message is ``norm(swish(features @ feature_weights + sent + received) @ weights + bias)``.

    Parameters
    ----------
    edges
        The edges. Its features have the dtype of ``sent``.
    sent, received
        What the nodes contribute to the first layer, its bias included in either; float32 or
        bfloat16, shapes ``(senders, channels)`` and ``(receivers, channels)``.
    layers
        Parameters of the messages.
    divisor
        Divisor of the sums.

    Returns
    -------
    jax.Array
        Shape ``(receivers, outputs)`` in the dtype of ``sent``; zeros for receivers without edges.
        Sums are float32.

    Raises
    ------
    jax.errors.JaxRuntimeError
        When the program runs: the receivers do not ascend, or one does not exist.
    """
    wide = jnp.float32
    shape = (received.shape[0], layers.weights.shape[-1])
    [result] = call_kernel(
        TARGET,
        functools.partial(edge_messages_form, share=1 / divisor),
        edges.features,
        layers.feature_weights,
        sent,
        edges.senders,
        received,
        edges.receivers,
        layers.weights,
        layers.bias.astype(wide),
        layers.norm.scale.astype(wide),
        layers.norm.offset.astype(wide),
        results=[jax.ShapeDtypeStruct(shape, sent.dtype)],
        share=1 / divisor,
    )
    return result


def edge_messages_form(
    features: jax.Array,
    feature_weights: jax.Array,
    sent: jax.Array,
    senders: jax.Array,
    received: jax.Array,
    receivers: jax.Array,
    weights: jax.Array,
    bias: jax.Array,
    scale: jax.Array,
    offset: jax.Array,
    *,
    share: float,
) -> jax.Array:
    """The JAX form of the kernel; parameters as above, ``share`` is one over the divisor."""
    nodes = jnp.take(sent, senders, axis=0, mode="clip").astype(jnp.float32)
    nodes = nodes + jnp.take(received, receivers, axis=0, mode="clip").astype(jnp.float32)
    hidden = jax.nn.swish(wide_product(features, feature_weights) + nodes).astype(sent.dtype)
    messages = wide_product(hidden, weights) + bias
    # Modulation is linear, so that it follows the sum.
    normalised = layer_norm(messages, jnp.ones_like(scale), jnp.zeros_like(offset))
    count = received.shape[0]
    ones = jnp.ones(receivers.shape, jnp.float32)
    sums, counts = (
        jax.ops.segment_sum(each, receivers, num_segments=count, indices_are_sorted=True)
        for each in (normalised, ones)
    )
    return ((sums * scale + counts[:, None] * offset) * share).astype(sent.dtype)

"""GenCast's network, laid out for CPUs: encode to the mesh, transform, decode to the grid.

The results equal those of the published network to rounding, but the order of the computation
differs where that saves work. Arrays that depend only on geometry and weights are computed once
(:func:`~perfkit.models.gencast.network.constants.build_constants`). The contribution of the inputs
is computed once per sampled step (:func:`embed_context`). The first layer of an edge MLP is
multiplied per node before the gather instead of per edge after a concatenation.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from perfkit.models.gencast.network.attention import attend
from perfkit.models.gencast.network.definition import (
    DECODER,
    ENCODER,
    MESSAGE_TO_GRID,
    MESSAGE_TO_MESH,
    TRANSFORMER,
    NetworkConstants,
    NetworkSettings,
)
from perfkit.models.gencast.network.layers import (
    Weights,
    layer_norm,
    linear,
    mlp_tail,
    modulation,
    noise_encoding,
)
from perfkit.models.gencast.network.messages import first_layer, sum_on_grid, sum_on_mesh
from perfkit.models.gencast.network.row_blocks import by_blocks
from perfkit.models.gencast.network.updates import apply_mlp, feed_forward, update_nodes


def encode_once(weights: Weights, name: str, features: jax.Array) -> jax.Array:
    """Run an encoder up to its layer norm. The noise level only scales and shifts the result.

    Parameters
    ----------
    weights
        Parameters that include those of the encoder.
    name
        Name of the encoder, without ``_mlp``.
    features
        The last inputs of the first layer, ``[rows, features]``. All inputs before them are zero,
        as they are for mesh nodes.

    Returns
    -------
    Array
        Normalised encoding, ``[rows, channels]``.
    """
    first = weights[f"{name}_mlp/~/linear_0"]
    rows = first["w"][-features.shape[-1] :].astype(features.dtype)
    x = features @ rows + first["b"].astype(features.dtype)
    return layer_norm(mlp_tail(weights, f"{name}_mlp", x))


def embed_context(
    constants: NetworkConstants, settings: NetworkSettings, context: jax.Array
) -> jax.Array:
    """Apply the grid encoder's first layer to all its inputs except the noisy targets.

    Parameters
    ----------
    constants, settings
        The network.
    context
        Stacked inputs and forcings in the order of ``settings.context_rows``,
        ``[grid nodes, batch, channels]``.

    Returns
    -------
    Array
        Pre-activation without the contribution of the targets, ``[grid nodes, batch, latent]``.
    """
    first = constants.weights[f"{ENCODER}/encoder_nodes_grid_nodes_mlp/~/linear_0"]
    rows = first["w"].astype(context.dtype)
    structural = constants.grid_features.astype(context.dtype)
    static = structural @ rows[-structural.shape[-1] :] + first["b"].astype(context.dtype)
    return context @ rows[jnp.array(settings.context_rows)] + static[:, None]


def run_network(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    targets: jax.Array,
    noise_levels: jax.Array,
) -> jax.Array:
    """Run the network once.

    Parameters
    ----------
    constants, settings
        The network.
    embedded
        Result of :func:`embed_context`, ``[grid nodes, batch, latent]``. Its dtype is that of all
        activations.
    targets
        Scaled noisy targets, ``[grid nodes, batch, outputs]``.
    noise_levels
        Standard deviation of the noise, ``[batch]``.

    Returns
    -------
    Array
        Shape ``[grid nodes, batch, outputs]`` in the dtype of ``embedded``.
    """
    encoded_noise = noise_encoding(
        constants.weights, noise_levels, settings.base_period, settings.apply_log_first
    )
    conditioning = encoded_noise.astype(embedded.dtype)
    targets = targets.astype(embedded.dtype)
    with jax.named_scope("grid2mesh"):
        grid, mesh = encode(constants, settings, embedded, targets, conditioning)
    with jax.named_scope("mesh_transformer"):
        mesh = transform(constants, settings, mesh, conditioning)
    with jax.named_scope("mesh2grid"):
        return decode(constants, settings, grid, mesh, conditioning)


def encode(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    targets: jax.Array,
    conditioning: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Encode the grid and send its messages to the mesh.

    Parameters
    ----------
    constants, settings
        The network.
    embedded
        Result of :func:`embed_context`, ``[grid nodes, batch, latent]``.
    targets
        Scaled noisy targets in the same dtype, ``[grid nodes, batch, outputs]``.
    conditioning
        Encoded noise levels, ``[batch, features]``.

    Returns
    -------
    grid
        Grid latent before its residual update, ``[grid nodes, batch, latent]``. Only
        :func:`decode` reads the updated latent, so the update is made there.
    mesh
        Mesh latent after the messages, ``[mesh nodes, batch, latent]``.
    """
    weights = constants.weights
    grid_encoder = f"{ENCODER}/encoder_nodes_grid_nodes"
    rows = weights[f"{grid_encoder}_mlp/~/linear_0"]["w"]
    target_weights = rows[jnp.array(settings.target_rows)].astype(embedded.dtype)
    edge_weights, sender_weights, receiver_weights = _split_rows(
        weights, MESSAGE_TO_MESH, 3, embedded.dtype
    )

    def embed_grid(embedded: jax.Array, targets: jax.Array) -> tuple[jax.Array, ...]:
        return update_nodes(
            weights,
            grid_encoder,
            [(targets, target_weights)],
            conditioning,
            native=settings.native_kernels,
            added=embedded,
            projection=sender_weights,
        )

    grid, sent = by_blocks(embed_grid, (embedded, targets), settings.grid_block)

    scale, offset = modulation(
        weights, f"{ENCODER}/encoder_nodes_mesh_nodes_norm_conditioning", conditioning
    )
    mesh = constants.mesh_nodes[:, None].astype(embedded.dtype) * scale + offset
    first = first_layer(
        constants.to_mesh_edges,
        weights,
        f"{ENCODER}/encoder_edges_grid2mesh",
        MESSAGE_TO_MESH,
        edge_weights,
        conditioning,
    )
    received = mesh @ receiver_weights + first.shift
    aggregated = sum_on_mesh(constants, settings, first, sent, received, conditioning)
    name = f"{ENCODER}/processor_nodes_0_mesh_nodes"
    node_weights, aggregate_weights = _split_rows(weights, name, 2, embedded.dtype)
    [mesh] = update_nodes(
        weights,
        name,
        [(mesh, node_weights), (aggregated, aggregate_weights)],
        conditioning,
        native=settings.native_kernels,
        residual=True,
    )
    return grid, mesh


def transform(
    constants: NetworkConstants,
    settings: NetworkSettings,
    mesh: jax.Array,
    conditioning: jax.Array,
) -> jax.Array:
    """Apply the transformer on the mesh.

    Parameters
    ----------
    constants, settings
        The network.
    mesh
        Mesh latent, ``[mesh nodes, batch, latent]``.
    conditioning
        Encoded noise levels, ``[batch, features]``.

    Returns
    -------
    Array
        Has the shape and dtype of ``mesh``.
    """
    weights = constants.weights
    x = mesh.swapaxes(0, 1)

    def modulated(name: str, x: jax.Array) -> jax.Array:
        scale, offset = modulation(weights, name, conditioning)
        return layer_norm(x) * scale[:, None] + offset[:, None]

    for layer in range(settings.layers):
        prefix = f"{TRANSFORMER}/block_{layer:02d}"
        norm = f"{prefix}/block_{layer:02d}_norm_conditioning"
        normed = modulated(norm, x)
        queries, keys, values = (
            linear(weights, f"{prefix}/mha_proj_{part}", normed).reshape(
                *x.shape[:2], settings.heads, -1
            )
            for part in ("q", "k", "v")
        )
        with jax.named_scope("attend"):
            mixed = attend(
                queries, keys, values, constants.mask, native=settings.native_kernels
            ).reshape(x.shape)
        x = x + linear(weights, f"{prefix}/mha_final", mixed)
        x = feed_forward(
            weights, prefix, f"{norm}_1", x, conditioning, native=settings.native_kernels
        )
    x = modulated(f"{TRANSFORMER}/transformer_final_norm_conditioning", x)
    return x.swapaxes(0, 1)


def decode(
    constants: NetworkConstants,
    settings: NetworkSettings,
    grid: jax.Array,
    mesh: jax.Array,
    conditioning: jax.Array,
) -> jax.Array:
    """Send messages to the grid, update it and compute the outputs.

    Parameters
    ----------
    constants, settings
        The network.
    grid, mesh
        Latents of grid and mesh, ``[nodes, batch, latent]``.
    conditioning
        Encoded noise levels, ``[batch, features]``.

    Returns
    -------
    Array
        Shape ``[grid nodes, batch, outputs]`` in the dtype of ``grid``.
    """
    weights, native = constants.weights, settings.native_kernels
    edge_weights, sender_weights, receiver_weights = _split_rows(
        weights, MESSAGE_TO_GRID, 3, grid.dtype
    )
    update = f"{ENCODER}/processor_nodes_0_grid_nodes"
    [update_weights] = _split_rows(weights, update, 1, grid.dtype)
    name = f"{DECODER}/processor_nodes_0_grid_nodes"
    node_weights, aggregate_weights = _split_rows(weights, name, 2, grid.dtype)
    first = first_layer(
        constants.to_grid_edges,
        weights,
        f"{DECODER}/encoder_edges_mesh2grid",
        MESSAGE_TO_GRID,
        edge_weights,
        conditioning,
    )
    sent = mesh @ sender_weights + first.shift

    def decode_block(grid: jax.Array, senders: jax.Array, basis: jax.Array) -> tuple[jax.Array]:
        updated, received = update_nodes(
            weights,
            update,
            [(grid, update_weights)],
            conditioning,
            native=native,
            residual=True,
            projection=receiver_weights,
        )
        aggregated = sum_on_grid(
            weights, first, sent, received, senders, basis, conditioning, native=native
        )
        [updated] = update_nodes(
            weights,
            name,
            [(updated, node_weights), (aggregated, aggregate_weights)],
            conditioning,
            native=native,
            residual=True,
        )
        decoder = f"{DECODER}/decoder_nodes_grid_nodes_mlp"
        return (apply_mlp(weights, decoder, updated, native=native),)

    arrays = (grid, constants.to_grid_senders, constants.to_grid_edges.basis)
    return by_blocks(decode_block, arrays, settings.grid_block)[0]


def _split_rows(weights: Weights, name: str, parts: int, dtype: jnp.dtype) -> list[jax.Array]:
    """Split the first layer of an MLP over a concatenation into one matrix per part."""
    return jnp.split(weights[f"{name}_mlp/~/linear_0"]["w"].astype(dtype), parts)

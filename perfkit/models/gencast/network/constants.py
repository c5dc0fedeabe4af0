"""Computes the arrays that depend only on geometry and weights, once before any forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.inputs.checkpoint import Checkpoint, Parameters
from perfkit.models.gencast.network.attention import AttentionKind, attention_mask
from perfkit.models.gencast.network.definition import (
    DECODER,
    ENCODER,
    EdgeTerms,
    NetworkConstants,
    NetworkSettings,
)
from perfkit.models.gencast.network.denoiser_network import encode_once
from perfkit.models.gencast.network.stacking import channel_layout
from perfkit.models.gencast.network.updates import are_served
from perfkit.models.gencast.sphere.geometry import Geometry

_SAMPLED_EDGES = 20000
"""Sampled edges, whose encodings span those of all edges: displacements fill a small disc
densely."""

_ENCODED_TOGETHER = 32768
"""Edges that are encoded together: 64 MB of encodings at the published width."""

_UNUSED_MODULES = (
    f"{DECODER}/processor_nodes_0_mesh_nodes",
    f"{ENCODER}/encoder_nodes_mesh_nodes_mlp",
    f"{ENCODER}/encoder_edges_grid2mesh_mlp",
    f"{DECODER}/encoder_edges_mesh2grid_mlp",
)
"""Modules whose parameters no call reads. The published network discards the result of the first;
the others are encoders whose output is stored in the constants."""


_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Execution:
    """How the network is run. Only the dtype changes the answer beyond rounding.

    Attributes
    ----------
    dtype
        NumPy type of the network's activations and weights.
    attention
        Implementation of attention on the mesh.
    grid_block
        Number of grid nodes that are processed together; None for all at once.
    compress_edges
        Whether encoded edges are stored in a basis of their numerical rank. This shrinks their
        product with the messages' first layer by the same factor.
    native_kernels
        Whether native kernels compute what they serve.
    """

    dtype: np.dtype[Any] = _FLOAT32
    attention: AttentionKind = "dense"
    grid_block: int | None = None
    compress_edges: bool = True
    native_kernels: bool = False


def network_settings(checkpoint: Checkpoint, execution: Execution) -> NetworkSettings:
    """Return the settings of the network in ``checkpoint``."""
    architecture = checkpoint.denoiser_architecture_config
    layout = channel_layout(checkpoint.task_config)
    return NetworkSettings(
        layers=architecture.sparse_transformer_config.num_layers,
        heads=architecture.sparse_transformer_config.num_heads,
        base_period=checkpoint.noise_encoder_config.base_period,
        apply_log_first=checkpoint.noise_encoder_config.apply_log_first,
        aggregate_normalization=architecture.grid2mesh_aggregate_normalization,
        context_rows=layout.context_rows,
        target_rows=layout.target_rows,
        grid_block=execution.grid_block,
        native_kernels=execution.native_kernels
        and are_served(execution.dtype, architecture.hidden_layers),
    )


def build_constants(
    checkpoint: Checkpoint, geometry: Geometry, execution: Execution
) -> NetworkConstants:
    """Compute the constants of a network.

    Encoders of geometry are computed in at least float32, whatever the dtype of the network.

    Parameters
    ----------
    checkpoint
        Parameters and configuration.
    geometry
        Positions of grid, mesh and edges.
    execution
        How the network is run.
    """
    dtype = np.dtype(execution.dtype)
    wide = np.dtype(np.float32) if dtype == jnp.bfloat16 else np.promote_types(dtype, np.float32)
    to_mesh = geometry.grid_to_mesh.sorted_by_receiver()
    hops = checkpoint.denoiser_architecture_config.sparse_transformer_config.attention_k_hop

    def edge_terms(name: str, features: NDArray[np.float32]) -> EdgeTerms:
        encode = _encoder(checkpoint.params, name, wide)
        if execution.compress_edges:
            sample = features[:: max(1, len(features) // _SAMPLED_EDGES)]
            exact = _encoder(checkpoint.params, name, np.dtype(np.float64))(sample)
            directions = numerical_directions(exact.astype(np.float64), wide)
        else:
            directions = np.eye(checkpoint.denoiser_architecture_config.latent_size, dtype=wide)
        # Full encodings of all edges would be the largest array; they are made piece by piece.
        pieces = np.array_split(features, -(-len(features) // _ENCODED_TOGETHER))
        basis = np.concatenate([(encode(piece) @ directions).astype(dtype) for piece in pieces])
        return EdgeTerms(jnp.asarray(basis), jnp.asarray(directions.T, dtype))

    mesh_encoder = f"{ENCODER}/encoder_nodes_mesh_nodes"
    mesh_nodes = _encoder(checkpoint.params, mesh_encoder, wide)(geometry.mesh_features)
    to_grid = edge_terms(f"{DECODER}/encoder_edges_mesh2grid", geometry.mesh_to_grid.features)
    edges_per_node = to_grid.basis.reshape(geometry.grid_nodes, 3, -1)
    return NetworkConstants(
        weights=_used(checkpoint.params, dtype),
        grid_features=jnp.asarray(geometry.grid_features, dtype),
        mesh_nodes=jnp.asarray(mesh_nodes, dtype),
        to_mesh_edges=edge_terms(f"{ENCODER}/encoder_edges_grid2mesh", to_mesh.features),
        to_grid_edges=EdgeTerms(edges_per_node, to_grid.coefficients),
        to_mesh_senders=jnp.asarray(to_mesh.senders),
        to_mesh_receivers=jnp.asarray(to_mesh.receivers),
        to_grid_senders=jnp.asarray(geometry.mesh_to_grid.senders.reshape(-1, 3)),
        mask=jax.tree.map(jnp.asarray, attention_mask(geometry.mesh, hops, execution.attention)),
    )


def _encoder(
    params: Parameters, name: str, dtype: np.dtype[Any]
) -> Callable[[NDArray[np.float32]], NDArray[np.floating]]:
    """Compile the encoder ``name`` up to its layer norm; it maps features to encodings."""
    weights = {
        module: {leaf: array.astype(dtype) for leaf, array in leaves.items()}
        for module, leaves in params.items()
        if module.startswith(f"{name}_mlp")
    }
    compiled = jax.jit(lambda weights, x: encode_once(weights, name, x))

    def encode(features: NDArray[np.float32]) -> NDArray[np.floating]:
        with jax.enable_x64(dtype == np.float64):
            return np.asarray(compiled(weights, features.astype(dtype)))

    return encode


def _used(params: Parameters, dtype: np.dtype[Any]) -> dict[str, dict[str, jax.Array]]:
    return parameters_in({m: leaves for m, leaves in params.items() if is_read(m)}, dtype)


def parameters_in(params: Parameters, dtype: np.dtype[Any]) -> dict[str, dict[str, jax.Array]]:
    """Convert the parameters to ``dtype``.

    The noise encoding keeps its own precision: it is tiny and affects every layer.
    """
    return {
        module: {
            leaf: jnp.asarray(array if module.startswith("fourier") else array.astype(dtype))
            for leaf, array in leaves.items()
        }
        for module, leaves in params.items()
    }


def is_read(module: str) -> bool:
    """Return whether any call reads the parameters of ``module``."""
    return not module.startswith(_UNUSED_MODULES)


def numerical_directions(
    encoded: NDArray[np.float64], dtype: np.dtype[Any]
) -> NDArray[np.floating]:
    """Find the directions that represent ``encoded`` to the rounding of ``dtype``.

    Encoded edges are a smooth function of a displacement, so far fewer directions than channels
    are enough. The directions are eigenvectors of the Gram matrix. The omitted ones contribute at
    most half a rounding unit of the root mean square. The sample is in float64, because rounding
    in float32 would fill every direction.

    Parameters
    ----------
    encoded
        Encodings of a sample of edges, float64 ``[edges, channels]``.
    dtype
        NumPy type of the network.

    Returns
    -------
    ndarray
        Orthonormal columns, ``[channels, rank]``, in ``dtype``.
    """
    energies, directions = np.linalg.eigh(encoded.T @ encoded)
    energies = np.maximum(energies, 0)
    allowed = (np.finfo(dtype).eps / 2) ** 2 * energies.sum()
    dropped = int(np.searchsorted(np.cumsum(energies), allowed))
    return np.ascontiguousarray(directions[:, dropped:][:, ::-1]).astype(dtype)

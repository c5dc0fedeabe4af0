"""What depends on geometry and weights alone, computed once before any forecast."""

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
from perfkit.models.gencast.network.denoiser_network import (
    DECODER,
    ENCODER,
    EdgeTerms,
    NetworkConstants,
    NetworkSettings,
    encode_once,
)
from perfkit.models.gencast.network.stacking import channel_layout
from perfkit.models.gencast.sphere.geometry import Geometry

_SAMPLED_EDGES = 20000
"""Edges whose encodings span those of all: displacements fill a small disc densely."""

_ENCODED_TOGETHER = 32768
"""Edges encoded at a time: 64 MB of encodings at the published width."""

_UNUSED_MODULES = (
    f"{DECODER}/processor_nodes_0_mesh_nodes",
    f"{ENCODER}/encoder_nodes_mesh_nodes_mlp",
    f"{ENCODER}/encoder_edges_grid2mesh_mlp",
    f"{DECODER}/encoder_edges_mesh2grid_mlp",
)
"""Modules no call reads: the published network computes the first and throws it away, the others
are encoders whose output is kept instead."""


_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Execution:
    """How the network is run: none of it but the dtype changes the answer beyond rounding.

    Attributes
    ----------
    dtype
        Of the network's activations and weights.
    attention
        How attention on the mesh is computed.
    grid_block
        Grid nodes processed together; ``None`` for all at once.
    compress_edges
        Whether encoded edges are kept as a basis of their numerical rank, which makes their
        product with the messages' first layer as much smaller.
    """

    dtype: np.dtype[Any] = _FLOAT32
    attention: AttentionKind = "dense"
    grid_block: int | None = None
    compress_edges: bool = True


def network_settings(checkpoint: Checkpoint, execution: Execution) -> NetworkSettings:
    """The static description of the network that ``checkpoint`` holds."""
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
    )


def build_constants(
    checkpoint: Checkpoint, geometry: Geometry, execution: Execution
) -> NetworkConstants:
    """Lay the parameters out and compute what no call needs to compute again.

    Encoders of geometry are computed in float32 at least, whatever the dtype of the network.
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
            kept = numerical_directions(exact.astype(np.float64), wide)
        else:
            kept = np.eye(checkpoint.denoiser_architecture_config.latent_size, dtype=wide)
        # Encoded in full, edges are the largest array there is: only some are at a time.
        pieces = np.array_split(features, -(-len(features) // _ENCODED_TOGETHER))
        basis = np.concatenate([(encode(piece) @ kept).astype(dtype) for piece in pieces])
        return EdgeTerms(jnp.asarray(basis), jnp.asarray(kept.T, dtype))

    mesh_encoder = f"{ENCODER}/encoder_nodes_mesh_nodes"
    mesh_nodes = _encoder(checkpoint.params, mesh_encoder, wide)(geometry.mesh_features)
    to_grid = edge_terms(f"{DECODER}/encoder_edges_mesh2grid", geometry.mesh_to_grid.features)
    three_a_node = to_grid.basis.reshape(geometry.grid_nodes, 3, -1)
    return NetworkConstants(
        weights=_used(checkpoint.params, dtype),
        grid_features=jnp.asarray(geometry.grid_features, dtype),
        mesh_nodes=jnp.asarray(mesh_nodes, dtype),
        to_mesh_edges=edge_terms(f"{ENCODER}/encoder_edges_grid2mesh", to_mesh.features),
        to_grid_edges=EdgeTerms(three_a_node, to_grid.coefficients),
        to_mesh_senders=jnp.asarray(to_mesh.senders),
        to_mesh_receivers=jnp.asarray(to_mesh.receivers),
        to_grid_senders=jnp.asarray(geometry.mesh_to_grid.senders.reshape(-1, 3)),
        mask=jax.tree.map(jnp.asarray, attention_mask(geometry.mesh, hops, execution.attention)),
    )


def _encoder(
    params: Parameters, name: str, dtype: np.dtype[Any]
) -> Callable[[NDArray[np.float32]], NDArray[np.floating]]:
    """The encoder ``name`` up to its layer norm, of features to ``[rows, channels]``."""
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
    """The parameters as the network takes them.

    The noise encoding keeps its own precision: it is tiny, and decides about every layer.
    """
    return {
        module: {
            leaf: jnp.asarray(array if module.startswith("fourier") else array.astype(dtype))
            for leaf, array in leaves.items()
        }
        for module, leaves in params.items()
    }


def is_read(module: str) -> bool:
    """Whether any call reads the parameters of ``module``."""
    return not module.startswith(_UNUSED_MODULES)


def numerical_directions(
    encoded: NDArray[np.float64], dtype: np.dtype[Any]
) -> NDArray[np.floating]:
    """The directions that hold ``encoded`` to a rounding of ``dtype``.

    Encoded edges are a smooth function of a displacement, so far fewer directions than channels
    do. They are eigenvectors of the Gram matrix; the rest holds a share of the root mean square
    of at most half a rounding. In float32 itself rounding would fill every direction, hence the
    float64 sample.

    Parameters
    ----------
    encoded
        A sample of the edges, ``[edges, channels]``.

    Returns
    -------
    Orthonormal columns, ``[channels, rank]``, in ``dtype``.
    """
    energies, directions = np.linalg.eigh(encoded.T @ encoded)
    energies = np.maximum(energies, 0)
    allowed = (np.finfo(dtype).eps / 2) ** 2 * energies.sum()
    dropped = int(np.searchsorted(np.cumsum(energies), allowed))
    return np.ascontiguousarray(directions[:, dropped:][:, ::-1]).astype(dtype)

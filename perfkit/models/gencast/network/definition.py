"""The definition of the network: its settings, constant arrays and module names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax

from perfkit.models.gencast.network.attention import AttentionMask
from perfkit.models.gencast.network.layers import Weights

ENCODER = "grid2mesh_gnn/~_networks_builder"
DECODER = "mesh2grid_gnn/~_networks_builder"
TRANSFORMER = "mesh_transformer/~/transformer"
MESSAGE_TO_MESH = f"{ENCODER}/processor_edges_0_grid2mesh"
MESSAGE_TO_GRID = f"{DECODER}/processor_edges_0_mesh2grid"
"""Paths of modules, as the published network names them."""


@dataclass(frozen=True)
class NetworkSettings:
    """Settings that are fixed before the network is compiled.

    Attributes
    ----------
    layers, heads
        Number of layers and of attention heads of the transformer on the mesh.
    base_period, apply_log_first
        Parameters of :func:`~perfkit.models.gencast.network.layers.noise_encoding`.
    aggregate_normalization
        Divisor of the sums over grid-to-mesh edges; None for no division.
    context_rows
        Input channels of a grid node that hold inputs and forcings.
    target_rows
        Input channels of a grid node that hold the noisy targets.
    grid_block
        Number of grid nodes, and three times as many edges, that are processed together, so that
        intermediate results stay in cache; None for all at once. Does not change the result.
    native_kernels
        Whether blocks, messages and attention of patches are computed by native kernels.
    """

    layers: int
    heads: int
    base_period: float
    apply_log_first: bool
    aggregate_normalization: float | None
    context_rows: tuple[int, ...]
    target_rows: tuple[int, ...]
    grid_block: int | None
    native_kernels: bool = False


class EdgeTerms(NamedTuple):
    """Encoded edges before their modulation, stored as ``basis @ coefficients``.

    Attributes
    ----------
    basis
        Array ``[edges, rank]``, or ``[grid nodes, 3, rank]`` for the edges into grid nodes.
    coefficients
        Array ``[rank, channels]``.
    """

    basis: jax.Array
    coefficients: jax.Array


class NetworkConstants(NamedTuple):
    """Arrays that are the same in all calls of the network.

    Attributes
    ----------
    weights
        Parameters in the dtype of the products.
    grid_features
        Features of the grid nodes, ``[grid nodes, 3]``.
    mesh_nodes
        Encoded mesh nodes before their modulation, ``[mesh nodes, channels]``.
    to_mesh_edges, to_grid_edges
        Encoded edges before their modulation.
    to_mesh_senders, to_mesh_receivers
        Node numbers of the grid-to-mesh edges, sorted by receiver, int32 ``[edges]``.
    to_grid_senders
        The three mesh nodes that send to a grid node, int32 ``[grid nodes, 3]``.
    mask
        Pairs of mesh nodes that may attend to each other.
    """

    weights: Weights
    grid_features: jax.Array
    mesh_nodes: jax.Array
    to_mesh_edges: EdgeTerms
    to_grid_edges: EdgeTerms
    to_mesh_senders: jax.Array
    to_mesh_receivers: jax.Array
    to_grid_senders: jax.Array
    mask: AttentionMask

"""The constants of the network: the basis of the edges, their order, and the used weights."""

from __future__ import annotations

import numpy as np

from perfkit.models.gencast.inputs.checkpoint import Checkpoint
from perfkit.models.gencast.inputs.synthetic_weights import architecture_for, synthetic_checkpoint
from perfkit.models.gencast.network.constants import (
    Execution,
    build_constants,
    numerical_directions,
)
from perfkit.models.gencast.sphere.geometry import Geometry, build_geometry
from perfkit.models.gencast.sphere.grid import regular_grid


def setting() -> tuple[Checkpoint, Geometry]:
    architecture = architecture_for(2, latent=128, layers=1, feed_forward=16)
    return synthetic_checkpoint(architecture), build_geometry(*regular_grid(10.0), 2, 0.6)


def test_the_edge_basis_represents_the_edges_to_rounding_with_fewer_columns() -> None:
    checkpoint, geometry = setting()
    full = build_constants(checkpoint, geometry, Execution(compress_edges=False))
    compressed = build_constants(checkpoint, geometry, Execution(compress_edges=True))
    for one, other in (
        (full.to_mesh_edges, compressed.to_mesh_edges),
        (full.to_grid_edges, compressed.to_grid_edges),
    ):
        assert one.coefficients.shape[0] == 128
        assert other.coefficients.shape[0] < 96
        # In double precision, so that the rounding of this product is negligible.
        edges = np.asarray(other.basis, np.float64) @ np.asarray(other.coefficients, np.float64)
        # Encoded edges have a mean square of one; their own rounding is about 1e-7.
        assert np.sqrt(np.mean((edges - np.asarray(one.basis)) ** 2)) < 3e-7


def test_the_directions_of_data_of_known_rank_are_found() -> None:
    generator = np.random.default_rng(0)
    encoded = generator.standard_normal((500, 5)) @ generator.standard_normal((5, 40))
    directions = numerical_directions(encoded, np.dtype(np.float32))
    assert directions.shape == (40, 5)
    np.testing.assert_allclose(encoded @ directions @ directions.T, encoded, atol=1e-5)


def test_edges_into_mesh_nodes_are_sorted_by_receiver() -> None:
    checkpoint, geometry = setting()
    constants = build_constants(checkpoint, geometry, Execution())
    receivers = np.asarray(constants.to_mesh_receivers)
    assert (np.diff(receivers) >= 0).all()
    pairs = set(zip(constants.to_mesh_senders.tolist(), receivers.tolist(), strict=True))
    original = geometry.grid_to_mesh
    assert pairs == set(zip(original.senders.tolist(), original.receivers.tolist(), strict=True))


def test_weights_of_unused_modules_are_left_out() -> None:
    checkpoint, geometry = setting()
    used = build_constants(checkpoint, geometry, Execution()).weights
    left_out = set(checkpoint.params) - set(used)
    assert (
        "mesh2grid_gnn/~_networks_builder/processor_nodes_0_mesh_nodes_mlp/~/linear_0" in left_out
    )
    assert len(left_out) == 9

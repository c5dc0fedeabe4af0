"""Mesh, edges and structural features against the original's."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.attention import attention_mask, choose_attention
from perfkit.models.gencast.geometry import (
    build_geometry,
    edge_features,
    grid_coordinates,
    mesh_coordinates,
    nearest_faces,
)
from perfkit.models.gencast.grid import regular_grid
from perfkit.models.gencast.mesh import (
    band_block_size,
    banded_icosahedron,
    banding_permutation,
    neighbourhood,
    refined_icosahedron,
)

GRAPHS = {
    "grid15_mesh2": (15.0, 2),
    "grid10_mesh3": (10.0, 3),
    "grid1_mesh4": (1.0, 4),
    "grid1_mesh5": (1.0, 5),
}


@pytest.fixture(scope="module", params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> Any:
    resolution, mesh_size = GRAPHS[request.param]
    return request.param, build_geometry(*regular_grid(resolution), mesh_size, 0.6)


def digest(index: NDArray[np.integer]) -> str:
    return hashlib.sha256(np.ascontiguousarray(index, np.int32).tobytes()).hexdigest()


@pytest.mark.parametrize("splits", range(5))
def test_the_refined_icosahedron_is_the_original_s(reference: Any, splits: int) -> None:
    arrays = reference.group("geometry", f"mesh{splits}")
    mesh = refined_icosahedron(splits)
    tolerance = reference.tolerances["vertices"]
    np.testing.assert_allclose(mesh.vertices, arrays["vertices_unpermuted"], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(mesh.faces, arrays["faces_unpermuted"])
    np.testing.assert_array_equal(banding_permutation(mesh), arrays["permutation"])


def test_every_edge_index_is_the_original_s(reference: Any, graph: Any) -> None:
    name, geometry = graph
    expected = reference.graphs[name]
    assert geometry.query_radius == pytest.approx(expected["query_radius"], abs=1e-7)
    found = {
        "g2m_senders": geometry.grid_to_mesh.senders,
        "g2m_receivers": geometry.grid_to_mesh.receivers,
        "m2g_senders": geometry.mesh_to_grid.senders,
        "m2g_receivers": geometry.mesh_to_grid.receivers,
        "mesh_senders": geometry.mesh.senders,
        "mesh_receivers": geometry.mesh.receivers,
    }
    assert {key: digest(index) for key, index in found.items()} == expected["sha256_of_int32"]


def test_features_are_the_original_s_up_to_the_rounding_of_angles(
    reference: Any, graph: Any
) -> None:
    """Mesh angles are float32 arccosines, which CPUs round differently by one unit.

    What one rounding of an angle moves a node is divided by the longest edge in edge features,
    once for the place of the node and once for the frame it is seen from; only some rows are
    stored, hence twice what they show. Where the CPU rounds like the reference's, the stated
    tolerance is all there is.
    """
    name, geometry = graph
    stored = reference.group("geometry", name)
    tolerance = reference.tolerances["geometry"]["features"]

    def rows(array: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
        step = 1 if len(array) == len(like) else max(1, len(array) // 200)
        return array[::step]

    lat, lon = mesh_coordinates(geometry.mesh)
    lat_error = np.abs(rows(lat, stored["mesh_lat"]) - stored["mesh_lat"]).max()
    lon_error = np.abs(rows(lon, stored["mesh_lon"]) - stored["mesh_lon"]).max()
    assert lat_error <= np.spacing(np.float32(180))
    assert lon_error <= np.spacing(np.float32(359))
    moved = np.deg2rad(np.hypot(lat_error, lon_error))
    for key, ours, scale in (
        ("grid_node_features", geometry.grid_features, 0.0),
        ("mesh_node_features", geometry.mesh_features, 1.0),
        ("g2m_edge_features", geometry.grid_to_mesh.features, 1 / geometry.query_radius),
        ("m2g_edge_features", geometry.mesh_to_grid.features, 1 / geometry.query_radius),
    ):
        assert rows(ours, stored[key]).shape == stored[key].shape
        difference = np.abs(rows(ours, stored[key]) - stored[key]).max()
        assert difference <= tolerance + 4 * moved * scale, key


def test_edge_features_from_the_original_s_angles_are_the_original_s(reference: Any) -> None:
    stored = reference.group("geometry", "grid15_mesh2")
    grid = grid_coordinates(*regular_grid(15.0))
    mesh = stored["mesh_lat"], stored["mesh_lon"]
    tolerance = reference.tolerances["geometry"]["features"]
    for prefix, sender, receiver in (("g2m", grid, mesh), ("m2g", mesh, grid)):
        features = edge_features(
            sender, receiver, stored[f"{prefix}_senders"], stored[f"{prefix}_receivers"]
        )
        assert np.abs(features - stored[f"{prefix}_edge_features"]).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "splits", "resolution"),
    [
        ("splits1_res30", 1, 30.0),
        ("splits1_res15", 1, 15.0),
        ("splits2_res15", 2, 15.0),
        ("splits3_res10", 3, 10.0),
        ("splits4_res1", 4, 1.0),
        ("splits5_res1", 5, 1.0),
    ],
)
def test_grid_points_over_mesh_edges_choose_the_original_s_triangle(
    reference: Any, name: str, splits: int, resolution: float
) -> None:
    ties = reference.group("ties", name)
    lat, lon = (np.deg2rad(angle) for angle in grid_coordinates(*regular_grid(resolution)))
    points = np.stack([np.cos(lon) * np.cos(lat), np.sin(lon) * np.cos(lat), np.sin(lat)], -1)
    geometry_points = _geometry_points(resolution)
    np.testing.assert_allclose(geometry_points, points, atol=1e-6)
    faces = nearest_faces(geometry_points, banded_icosahedron(splits))
    np.testing.assert_array_equal(faces[ties["grid_index"]], ties["face_index"])
    assert digest(faces) == str(ties["all_faces_sha256"])


def _geometry_points(resolution: float) -> NDArray[np.float32]:
    lat, lon = grid_coordinates(*regular_grid(resolution))
    theta, phi = np.deg2rad(np.float32(90) - lat), np.deg2rad(lon)
    x, y = np.cos(phi) * np.sin(theta), np.sin(phi) * np.sin(theta)
    return np.stack([x, y, np.cos(theta)], axis=-1)


@pytest.mark.parametrize("splits", range(5))
@pytest.mark.parametrize("hops", [1, 2, 4, 16])
def test_the_attention_band_is_the_original_s(reference: Any, splits: int, hops: int) -> None:
    expected = reference.khop[f"mesh{splits}_khop{hops}"]
    allowed = neighbourhood(banded_icosahedron(splits), hops)
    assert allowed.nnz == expected["nonzeros"]
    size = band_block_size(allowed)
    assert size == expected["block_size"]
    assert -(-allowed.shape[0] // size) == expected["blocks"]
    row_counts = reference.group("geometry", f"mesh{splits}").get(f"khop{hops}_rowcounts")
    if row_counts is not None:
        np.testing.assert_array_equal(np.diff(allowed.indptr), row_counts)


def test_the_banded_mask_allows_as_many_pairs_as_the_dense_one() -> None:
    mesh = banded_icosahedron(3)
    dense, banded = (attention_mask(mesh, 4, kind).allowed for kind in ("dense", "banded"))
    assert dense.sum() == banded.sum() == 38142


def test_attention_is_dense_where_the_band_would_compute_more() -> None:
    mesh = banded_icosahedron(3)
    assert choose_attention(mesh, 16) == "dense"
    assert choose_attention(mesh, 2) == "banded"


def test_a_mesh_too_coarse_for_the_grid_is_refused() -> None:
    with pytest.raises(UserError, match="too coarse for a grid of 1 degrees; take 3 or"):
        build_geometry(*regular_grid(1.0), 1, 0.6)


def test_a_radius_that_leaves_grid_points_alone_is_refused() -> None:
    with pytest.raises(UserError, match="leaves grid points without any mesh node"):
        build_geometry(*regular_grid(10.0), 2, 0.2)

"""Mesh, edges and structural features against the published model."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.network.attention import (
    ATTENTION_KINDS,
    attention_mask,
    choose_attention,
)
from perfkit.models.gencast.sphere.geometry import (
    build_geometry,
    edge_features,
    grid_coordinates,
    nearest_faces,
)
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.gencast.sphere.mesh import (
    TriangularMesh,
    band_block_size,
    banded_icosahedron,
    banding_permutation,
    compact_patches,
    icosahedron,
    neighbourhood,
    refine,
    refined_icosahedron,
)
from perfkit.models.gencast.sphere.mesh_angles import mesh_coordinates

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
def test_the_refined_icosahedron_equals_the_published_one(reference: Any, splits: int) -> None:
    arrays = reference.group("geometry", f"mesh{splits}")
    mesh = refined_icosahedron(splits)
    tolerance = reference.tolerances["vertices"]
    np.testing.assert_allclose(mesh.vertices, arrays["vertices_unpermuted"], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(mesh.faces, arrays["faces_unpermuted"])
    np.testing.assert_array_equal(banding_permutation(mesh), arrays["permutation"])


def test_edge_indices_equal_the_published_ones(reference: Any, graph: Any) -> None:
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


def test_features_equal_the_published_ones(reference: Any, graph: Any) -> None:
    name, geometry = graph
    stored = reference.group("geometry", name)
    tolerance = reference.tolerances["geometry"]["features"]
    for key, ours in (
        ("grid_node_features", geometry.grid_features),
        ("mesh_node_features", geometry.mesh_features),
        ("g2m_edge_features", geometry.grid_to_mesh.features),
        ("m2g_edge_features", geometry.mesh_to_grid.features),
    ):
        rows = stored_rows(ours, stored[key])
        assert rows.shape == stored[key].shape
        assert np.abs(rows - stored[key]).max() <= tolerance, key


def stored_rows(array: NDArray[Any], stored: NDArray[Any]) -> NDArray[Any]:
    """Select the rows that the reference stores: large arrays are stored at equal distances."""
    step = 1 if len(array) == len(stored) else max(1, len(array) // 200)
    return array[::step]


def test_angles_of_mesh_nodes_equal_the_published_ones_to_the_last_bit(
    reference: Any, graph: Any
) -> None:
    name, geometry = graph
    stored = reference.group("geometry", name)
    for key, ours in zip(("mesh_lat", "mesh_lon"), mesh_coordinates(geometry.mesh), strict=True):
        np.testing.assert_array_equal(stored_rows(ours, stored[key]), stored[key])


def test_angles_are_the_same_without_avx512() -> None:
    """NumPy's float32 arccos rounds differently without AVX-512, which a variable disables."""
    code = (
        "from perfkit.models.gencast.sphere.mesh import banded_icosahedron; "
        "from perfkit.models.gencast.sphere.mesh_angles import mesh_coordinates; import hashlib; "
        "print(hashlib.sha256(b''.join(map(bytes, mesh_coordinates(banded_icosahedron(4)))))"
        ".hexdigest())"
    )
    digests = {
        disabled: subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "NPY_DISABLE_CPU_FEATURES": disabled},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for disabled in ("", "X86_V4 AVX512_ICL AVX512_SPR")
    }
    assert len(set(digests.values())) == 1
    assert len(digests[""].strip()) == 64


def test_a_mesh_without_a_reference_has_correctly_rounded_angles() -> None:
    finer = refine(icosahedron())
    other = TriangularMesh(finer.vertices[:-1], finer.faces[:1])
    lat, lon = mesh_coordinates(other)
    x, y, z = other.vertices.astype(np.float64).T
    np.testing.assert_allclose(lat, np.rad2deg(np.arcsin(z)), rtol=0, atol=2e-5)
    np.testing.assert_allclose(lon, np.rad2deg(np.arctan2(y, x)) % 360, rtol=0, atol=4e-5)


def test_edge_features_from_published_angles_equal_the_published_ones(reference: Any) -> None:
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
def test_grid_nodes_over_mesh_edges_have_the_published_triangle(
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
def test_the_attention_band_equals_the_published_one(
    reference: Any, splits: int, hops: int
) -> None:
    expected = reference.khop[f"mesh{splits}_khop{hops}"]
    allowed = neighbourhood(banded_icosahedron(splits), hops)
    assert allowed.nnz == expected["nonzeros"]
    size = band_block_size(allowed)
    assert size == expected["block_size"]
    assert -(-allowed.shape[0] // size) == expected["blocks"]
    row_counts = reference.group("geometry", f"mesh{splits}").get(f"khop{hops}_rowcounts")
    if row_counts is not None:
        np.testing.assert_array_equal(np.diff(allowed.indptr), row_counts)


def test_all_masks_allow_the_same_number_of_pairs() -> None:
    mesh = banded_icosahedron(3)
    masks = [attention_mask(mesh, 4, kind).allowed for kind in ATTENTION_KINDS]
    assert [mask.sum() for mask in masks] == [38142] * 3


def test_patches_contain_every_node_once_and_are_compact() -> None:
    mesh = banded_icosahedron(3)
    patches = compact_patches(mesh, 128)
    np.testing.assert_array_equal(np.sort(np.concatenate(patches)), np.arange(642))
    # Six equal groups; a cap with a sixth of the sphere reaches acos(2/3) = 48 degrees.
    assert {len(patch) for patch in patches} == {107}
    for patch in patches:
        middle = mesh.vertices[patch].mean(axis=0)
        nearness = mesh.vertices[patch] @ (middle / np.linalg.norm(middle))
        assert nearness.min() > np.cos(np.deg2rad(1.5 * 48.2))


def test_the_implementation_with_the_fewest_logits_is_chosen() -> None:
    mesh = banded_icosahedron(3)
    assert choose_attention(mesh, 16) == "dense"
    assert choose_attention(mesh, 4) == "patches"
    sizes = {kind: attention_mask(mesh, 4, kind).allowed.size for kind in ATTENTION_KINDS}
    assert min(sizes, key=lambda kind: sizes[kind]) == "patches"
    assert choose_attention(mesh, 16, ("dense", "banded")) == "dense"
    assert choose_attention(mesh, 2, ("dense", "banded")) == "banded"


def test_a_mesh_too_coarse_for_the_grid_is_refused() -> None:
    with pytest.raises(UserError, match="too coarse for a grid of 1 degrees; take 3 or"):
        build_geometry(*regular_grid(1.0), 1, 0.6)


def test_a_radius_that_leaves_grid_nodes_without_edges_is_refused() -> None:
    with pytest.raises(UserError, match="leaves grid nodes without a mesh node"):
        build_geometry(*regular_grid(10.0), 2, 0.2)

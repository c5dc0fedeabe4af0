"""Angles of the mesh nodes, rounded as in the published reference outputs on every CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.sphere.mesh import TriangularMesh

ROUNDINGS = Path(__file__).parents[1] / "data" / "mesh_angle_roundings.npz"
"""Units in the last place between the reference's angles and the correctly rounded ones, by number
of nodes (made by ``scripts/gencast_angle_roundings.py``). NumPy's float32 arccosine depends on the
CPU, and one unit changes edge features by up to 2e-5 at one degree."""


def rounded_angles(
    vertices: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute polar angle and azimuth in radians, correctly rounded to float32.

    Parameters
    ----------
    vertices
        Positions on the unit sphere, float32 ``[nodes, 3]``.

    Returns
    -------
    tuple of ndarray
        Each is float32 ``[nodes]``.
    """
    x, y, z = vertices.astype(np.float64).T
    return np.arccos(z).astype(np.float32), np.arctan2(y, x).astype(np.float32)


def mesh_coordinates(
    mesh: TriangularMesh,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latitude and longitude in degrees of every mesh node, float32 ``[nodes]`` each.

    Nodes of a banded icosahedron have the angles of the reference to the last bit. Meshes finer
    than the published ones, for which there is no reference, have correctly rounded angles.
    """
    nodes = len(mesh.vertices)
    polar, azimuth = rounded_angles(mesh.vertices)
    with np.load(ROUNDINGS, allow_pickle=False) as table:
        if f"polar_{nodes}" in table:
            polar = _moved(polar, table[f"polar_{nodes}"])
            azimuth = _moved(azimuth, table[f"azimuth_{nodes}"])
    lon = np.mod(np.rad2deg(azimuth), np.float32(360))
    return np.float32(90) - np.rad2deg(polar), lon


def _moved(angles: NDArray[np.float32], places: NDArray[np.int8]) -> NDArray[np.float32]:
    return (angles.view(np.int32) + places).astype(np.int32).view(np.float32)

"""Connects the grid with the mesh: the edges between them, and features of nodes and edges.

Everything is NumPy and depends only on the grid and the mesh. Angles are float32 and rotations
float64, as in the published model; features agree with it to 1e-7 only with these types.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perfkit.errors import UserError
from perfkit.models.gencast.sphere.mesh import TriangularMesh, banded_icosahedron
from perfkit.models.gencast.sphere.mesh_angles import mesh_coordinates

MOST_GRID_SPACINGS_PER_EDGE = 8
"""Most grid spacings that a mesh edge may span: twice as many as in the published models, which
have an edge of 4 degrees on a grid of 1 degree."""

_ICOSAHEDRON_EDGE_DEGREES = 63.435
"""Angle that an edge of the unrefined icosahedron spans."""

_ON_SURFACE_CHUNK = 65536
"""Grid points per nearest-triangle search, which bounds its memory."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Directed edges with their features.

    Attributes
    ----------
    senders, receivers
        Node numbers, int32 ``[edges]``.
    features
        Length and displacement in the receiver's frame, float32 ``[edges, 4]``, divided by the
        longest length.
    """

    senders: NDArray[np.int32]
    receivers: NDArray[np.int32]
    features: NDArray[np.float32]

    def sorted_by_receiver(self) -> Edges:
        """Return the edges sorted by receiver; edges of one receiver keep their order."""
        order = np.argsort(self.receivers, kind="stable")
        return Edges(self.senders[order], self.receivers[order], self.features[order])


@dataclass(frozen=True, eq=False)
class Geometry:
    """Positions of nodes and edges, as the network needs them.

    Attributes
    ----------
    lat, lon
        Coordinates of the grid in degrees, float32 ``[nlat]`` and ``[nlon]``.
    grid_features, mesh_features
        ``[cos(theta), cos(phi), sin(phi)]`` of every node, float32 ``[nodes, 3]``; theta is the
        polar angle, phi the longitude.
    grid_to_mesh
        Edges within the query radius, ordered by grid node, then by mesh node.
    mesh_to_grid
        Three edges per grid node, from the corners of the nearest triangle, in grid order.
    mesh
        The finest mesh, in banded order.
    query_radius
        Greatest length of a ``grid_to_mesh`` edge, as a chord of the unit sphere.
    """

    lat: NDArray[np.float32]
    lon: NDArray[np.float32]
    grid_features: NDArray[np.float32]
    mesh_features: NDArray[np.float32]
    grid_to_mesh: Edges
    mesh_to_grid: Edges
    mesh: TriangularMesh
    query_radius: np.float32

    @property
    def grid_nodes(self) -> int:
        """Number of grid nodes."""
        return len(self.grid_features)

    @property
    def mesh_nodes(self) -> int:
        """Number of mesh nodes."""
        return len(self.mesh_features)


@dataclass(frozen=True, eq=False)
class _Angles:
    phi: NDArray[np.float32]
    theta: NDArray[np.float32]

    def positions(self) -> NDArray[np.float32]:
        sin_theta = np.sin(self.theta)
        x, y = np.cos(self.phi) * sin_theta, np.sin(self.phi) * sin_theta
        return np.stack([x, y, np.cos(self.theta)], axis=-1)

    def features(self) -> NDArray[np.float32]:
        return np.stack([np.cos(self.theta), np.cos(self.phi), np.sin(self.phi)], axis=-1)


def _angles(lat: NDArray[np.float32], lon: NDArray[np.float32]) -> _Angles:
    return _Angles(np.deg2rad(lon), np.deg2rad(np.float32(90) - lat))


def grid_coordinates(
    lat: NDArray[np.float32], lon: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latitude and longitude in degrees of every grid node, float32 ``[nodes]`` each."""
    grid_lon, grid_lat = np.meshgrid(lon.astype(np.float32), lat.astype(np.float32))
    return grid_lat.reshape(-1), grid_lon.reshape(-1)


def _rotate_to_receiver(
    points: NDArray[np.float64], phi: NDArray[np.float64], theta: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rotate each point by the rotation that moves its receiver (phi, theta) to (1, 0, 0)."""
    x, y, z = points.T
    along = np.cos(phi) * x + np.sin(phi) * y
    across = np.cos(phi) * y - np.sin(phi) * x
    tilt = np.pi / 2 - theta
    forward = np.cos(tilt) * along + np.sin(tilt) * z
    upward = np.cos(tilt) * z - np.sin(tilt) * along
    return np.stack([forward, across, upward], axis=-1)


def edge_features(
    sender_degrees: tuple[NDArray[np.float32], NDArray[np.float32]],
    receiver_degrees: tuple[NDArray[np.float32], NDArray[np.float32]],
    senders: NDArray[np.int32],
    receivers: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Compute length and displacement of every edge in the frame of its receiver.

    Parameters
    ----------
    sender_degrees, receiver_degrees
        Latitudes and longitudes of the nodes in degrees, float32.
    senders, receivers
        Node numbers of the ends of the edges, int32 ``[edges]``.

    Returns
    -------
    ndarray
        float32 ``[edges, 4]``: ``|d|, d_x, d_y, d_z``, divided by the largest ``|d|``.
    """
    sender, receiver = _angles(*sender_degrees), _angles(*receiver_degrees)
    phi = receiver.phi[receivers].astype(np.float64)
    theta = receiver.theta[receivers].astype(np.float64)
    here = _rotate_to_receiver(receiver.positions()[receivers].astype(np.float64), phi, theta)
    there = _rotate_to_receiver(sender.positions()[senders].astype(np.float64), phi, theta)
    displacement = there - here
    length = np.linalg.norm(displacement, axis=-1, keepdims=True)
    features = np.concatenate([length, displacement], axis=-1) / length.max()
    return features.astype(np.float32)


def radius_pairs(
    grid: NDArray[np.float32], mesh: NDArray[np.float32], radius: float
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the pairs of a grid node and a mesh node at most ``radius`` apart.

    Parameters
    ----------
    grid, mesh
        Positions on the unit sphere, float32 ``[nodes, 3]``.
    radius
        Greatest distance, as a chord of the unit sphere.

    Returns
    -------
    tuple of ndarray
        Grid and mesh node numbers, int32 ``[pairs]`` each, ordered by grid, then by mesh node.
    """
    near = cKDTree(mesh).query_ball_point(grid, radius, return_sorted=True)
    counts = np.array([len(found) for found in near])
    grid_index = np.repeat(np.arange(len(grid), dtype=np.int32), counts)
    mesh_index = np.concatenate([np.asarray(found, np.int32) for found in near])
    return grid_index, mesh_index


def nearest_faces(points: NDArray[np.float32], mesh: TriangularMesh) -> NDArray[np.int32]:
    """Find the nearest triangle of the flat-faced mesh for each point.

    A grid node over an edge or a vertex is equally near to several triangles. The choice changes
    the forecast there, and the published model makes it with the same function of trimesh.

    Parameters
    ----------
    points
        Positions on the unit sphere, float32 ``[points, 3]``.
    mesh
        The mesh.

    Returns
    -------
    ndarray
        Numbers of the triangles, int32 ``[points]``.
    """
    import trimesh

    surface = trimesh.Trimesh(vertices=mesh.vertices, faces=mesh.faces, process=False)
    found = [
        surface.nearest.on_surface(points[start : start + _ON_SURFACE_CHUNK])[2]
        for start in range(0, len(points), _ON_SURFACE_CHUNK)
    ]
    return np.concatenate(found).astype(np.int32)


def build_geometry(
    lat: NDArray[np.float32],
    lon: NDArray[np.float32],
    mesh_size: int,
    radius_fraction: float,
    faces: NDArray[np.int32] | None = None,
) -> Geometry:
    """Connect a regular grid with the refined icosahedron.

    Parameters
    ----------
    lat, lon
        Coordinates of the grid in degrees, float32 ``[nlat]`` and ``[nlon]``. The number of a
        grid node is ``ilat * nlon + ilon``.
    mesh_size
        Number of refinements of the icosahedron.
    radius_fraction
        Query radius as a fraction of the longest mesh edge.
    faces
        Nearest triangle of every grid node, int32 ``[grid nodes]``; found if not given.

    Raises
    ------
    UserError
        The mesh is too coarse for the grid, or a grid node has no mesh node within the radius.
    """
    check_mesh_for_grid(mesh_size, float(lat[1] - lat[0]))
    mesh = banded_icosahedron(mesh_size)
    grid_degrees, mesh_degrees = grid_coordinates(lat, lon), mesh_coordinates(mesh)
    grid_angles = _angles(*grid_degrees)
    positions = grid_angles.positions()
    radius = np.float32(mesh.longest_edge * radius_fraction)

    senders, receivers = radius_pairs(positions, mesh.vertices, float(radius))
    if len(np.unique(senders)) < len(positions):
        raise UserError(
            f"a query radius of {radius_fraction} mesh edges leaves grid nodes without a mesh "
            "node; use a checkpoint with a larger radius_query_fraction_edge_length"
        )
    features = edge_features(grid_degrees, mesh_degrees, senders, receivers)
    grid_to_mesh = Edges(senders, receivers, features)

    if faces is None:
        faces = nearest_faces(positions, mesh)
    corners = mesh.faces[faces].reshape(-1)
    points = np.repeat(np.arange(len(positions), dtype=np.int32), 3)
    features = edge_features(mesh_degrees, grid_degrees, corners, points)
    return Geometry(
        lat=lat,
        lon=lon,
        grid_features=grid_angles.features(),
        mesh_features=_angles(*mesh_degrees).features(),
        grid_to_mesh=grid_to_mesh,
        mesh_to_grid=Edges(corners, points, features),
        mesh=mesh,
        query_radius=radius,
    )


def check_mesh_for_grid(mesh_size: int, spacing_degrees: float) -> None:
    """Refuse a mesh whose edges are much longer than the grid spacing.

    Parameters
    ----------
    mesh_size
        Number of refinements of the icosahedron.
    spacing_degrees
        Grid spacing in degrees.

    Raises
    ------
    UserError
        An edge spans more than ``MOST_GRID_SPACINGS_PER_EDGE`` grid spacings.
    """
    longest = MOST_GRID_SPACINGS_PER_EDGE * spacing_degrees
    needed = int(np.ceil(np.log2(_ICOSAHEDRON_EDGE_DEGREES / longest)))
    if mesh_size < needed:
        raise UserError(
            f"a mesh of {mesh_size} refinements is too coarse for a grid of "
            f"{spacing_degrees:g} degrees; take {needed} or more"
        )

"""The icosahedral mesh: refinement, banded numbering, neighbourhoods and patches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

_ICOSAHEDRON_FACES = (
    *((0, 1, 2), (0, 6, 1), (8, 0, 2), (8, 4, 0), (3, 8, 2)),
    *((3, 2, 7), (7, 2, 1), (0, 4, 6), (4, 11, 6), (6, 11, 5)),
    *((1, 5, 7), (4, 10, 11), (4, 8, 10), (10, 8, 3), (10, 3, 9)),
    *((11, 10, 9), (11, 9, 5), (5, 9, 7), (9, 3, 7), (1, 6, 5)),
)
"""Vertices of the faces, counter-clockwise seen from outside, as the published model numbers
them."""


@dataclass(frozen=True, eq=False)
class TriangularMesh:
    """A mesh on the unit sphere.

    Attributes
    ----------
    vertices
        Positions, float32 ``[nodes, 3]``.
    faces
        Vertex numbers, int32 ``[faces, 3]``, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]

    @cached_property
    def senders(self) -> NDArray[np.int32]:
        """Start nodes of the directed edges of all faces, int32 ``[3 * faces]``."""
        return np.concatenate([self.faces[:, 0], self.faces[:, 1], self.faces[:, 2]])

    @cached_property
    def receivers(self) -> NDArray[np.int32]:
        """End nodes of the directed edges of all faces, int32 ``[3 * faces]``."""
        return np.concatenate([self.faces[:, 1], self.faces[:, 2], self.faces[:, 0]])

    @property
    def longest_edge(self) -> np.float32:
        """Length of the longest edge, as a chord of the unit sphere."""
        ends = self.vertices[self.senders] - self.vertices[self.receivers]
        return np.float32(np.linalg.norm(ends, axis=-1).max())

    def adjacency(self) -> sparse.csr_matrix:
        """Return the matrix ``[nodes, nodes]`` with a one for every pair that shares an edge."""
        nodes = len(self.vertices)
        ones = np.ones(len(self.senders), np.int8)
        return sparse.csr_matrix((ones, (self.senders, self.receivers)), shape=(nodes, nodes))


def icosahedron() -> TriangularMesh:
    """Make the regular icosahedron, rotated about y so that its top face is horizontal."""
    golden = (1 + np.sqrt(5)) / 2
    corners = []
    for first in (1.0, -1.0):
        for second in (golden, -golden):
            corners += [(first, second, 0.0), (0.0, first, second), (second, 0.0, first)]
    vertices = np.array(corners, np.float32)
    vertices /= np.linalg.norm([1.0, golden])
    angle = (np.pi - 2 * np.arcsin(golden / np.sqrt(3))) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    turned = (vertices @ rotation).astype(np.float32)
    return TriangularMesh(turned, np.array(_ICOSAHEDRON_FACES, np.int32))


def refine(mesh: TriangularMesh) -> TriangularMesh:
    """Split every face into four. Old vertices keep their numbers; new ones follow."""
    vertices = list(mesh.vertices)
    midpoints: dict[tuple[int, int], int] = {}

    def midpoint(one: int, other: int) -> int:
        edge = (one, other) if one < other else (other, one)
        if edge not in midpoints:
            mean = vertices[one] + vertices[other]
            mean = mean / np.float32(2)
            midpoints[edge] = len(vertices)
            vertices.append(mean / np.linalg.norm(mean))
        return midpoints[edge]

    faces = []
    for a, b, c in mesh.faces.tolist():
        ab, bc, ca = midpoint(a, b), midpoint(b, c), midpoint(c, a)
        faces += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return TriangularMesh(np.array(vertices, np.float32), np.array(faces, np.int32))


def refined_icosahedron(splits: int) -> TriangularMesh:
    """Refine the icosahedron ``splits`` times; the result has ``10 * 4**splits + 2`` nodes."""
    mesh = icosahedron()
    for _ in range(splits):
        mesh = refine(mesh)
    return mesh


def banding_permutation(mesh: TriangularMesh) -> NDArray[np.int32]:
    """Return the reverse Cuthill-McKee order: new vertex ``i`` is old ``permutation[i]``."""
    return np.asarray(reverse_cuthill_mckee(mesh.adjacency(), symmetric_mode=True), np.int32)


def renumber(mesh: TriangularMesh, permutation: NDArray[np.int32]) -> TriangularMesh:
    """Return the mesh with its vertices in another order; the order of faces stays.

    Parameters
    ----------
    mesh
        The mesh.
    permutation
        New vertex ``i`` is old vertex ``permutation[i]``, int32 ``[nodes]``.
    """
    new_number = np.empty_like(permutation)
    new_number[permutation] = np.arange(len(permutation), dtype=permutation.dtype)
    return TriangularMesh(mesh.vertices[permutation], new_number[mesh.faces])


def banded_icosahedron(splits: int) -> TriangularMesh:
    """Refine the icosahedron and number its nodes so that k-hop neighbourhoods are a band."""
    mesh = refined_icosahedron(splits)
    return renumber(mesh, banding_permutation(mesh))


def neighbourhood(mesh: TriangularMesh, hops: int) -> sparse.csr_matrix:
    """Find the pairs of nodes at most ``hops`` edges apart, each node with itself included.

    Returns
    -------
    scipy.sparse.csr_matrix
        The nonzeros of ``(A + I) ** hops`` for the adjacency ``A``, bool ``[nodes, nodes]``.
    """
    step = (mesh.adjacency() + sparse.identity(len(mesh.vertices), np.int8)).astype(bool)
    step = step.astype(np.float32)
    reached = sparse.identity(len(mesh.vertices), np.float32, format="csr")
    for _ in range(hops):
        reached = reached @ step
        reached.data[:] = 1
    reached.sort_indices()
    return reached.astype(bool)


def band_block_size(allowed: sparse.csr_matrix) -> int:
    """Return the smallest block size for block-tridiagonal storage of ``allowed``.

    This is the half-bandwidth plus one: a node's block and the blocks before and after it then
    hold all nodes that it may attend to.
    """
    rows, columns = allowed.nonzero()
    return int(np.abs(rows - columns).max()) + 1


def compact_patches(mesh: TriangularMesh, size: int) -> list[NDArray[np.int32]]:
    """Divide the nodes into compact groups of at most ``size`` nodes.

    Uses recursive coordinate bisection (Berger and Bokhari 1987): a group is halved along its
    longest direction, which keeps groups equally large.

    Returns
    -------
    list of ndarray
        Node numbers of each group, ascending, int32.
    """

    def bisect(nodes: NDArray[np.int32], parts: int) -> list[NDArray[np.int32]]:
        if parts == 1:
            return [np.sort(nodes)]
        places = mesh.vertices[nodes].astype(np.float64)
        centred = places - places.mean(axis=0)
        longest = np.linalg.eigh(centred.T @ centred)[1][:, -1]
        order = nodes[np.argsort(centred @ longest, kind="stable")]
        first = len(nodes) * (parts // 2) // parts
        return bisect(order[:first], parts // 2) + bisect(order[first:], parts - parts // 2)

    nodes = len(mesh.vertices)
    return bisect(np.arange(nodes, dtype=np.int32), -(-nodes // size))

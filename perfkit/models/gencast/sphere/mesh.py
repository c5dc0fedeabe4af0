"""The icosahedral mesh: refinement, banded numbering, and who may attend to whom."""

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
"""Counter-clockwise seen from outside; the numbering is part of the published model."""


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
        """First ends of the directed edges of all faces, int32 ``[3 * faces]``."""
        return np.concatenate([self.faces[:, 0], self.faces[:, 1], self.faces[:, 2]])

    @cached_property
    def receivers(self) -> NDArray[np.int32]:
        """Second ends of the directed edges of all faces, int32 ``[3 * faces]``."""
        return np.concatenate([self.faces[:, 1], self.faces[:, 2], self.faces[:, 0]])

    @property
    def longest_edge(self) -> np.float32:
        """Length of the longest edge as a chord of the unit sphere."""
        ends = self.vertices[self.senders] - self.vertices[self.receivers]
        return np.float32(np.linalg.norm(ends, axis=-1).max())

    def adjacency(self) -> sparse.csr_matrix:
        """Which nodes share an edge, as a matrix of ones ``[nodes, nodes]``."""
        nodes = len(self.vertices)
        ones = np.ones(len(self.senders), np.int8)
        return sparse.csr_matrix((ones, (self.senders, self.receivers)), shape=(nodes, nodes))


def icosahedron() -> TriangularMesh:
    """The regular icosahedron, turned about y so that a face lies flat on top."""
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
    """Split every face into four; old vertices keep their numbers, new ones follow."""
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
    """The icosahedron refined ``splits`` times: ``10 * 4**splits + 2`` nodes."""
    mesh = icosahedron()
    for _ in range(splits):
        mesh = refine(mesh)
    return mesh


def banding_permutation(mesh: TriangularMesh) -> NDArray[np.int32]:
    """The reverse Cuthill-McKee order: new vertex ``i`` is old vertex ``permutation[i]``."""
    return np.asarray(reverse_cuthill_mckee(mesh.adjacency(), symmetric_mode=True), np.int32)


def renumber(mesh: TriangularMesh, permutation: NDArray[np.int32]) -> TriangularMesh:
    """The same mesh with vertices in another order; faces keep theirs."""
    new_number = np.empty_like(permutation)
    new_number[permutation] = np.arange(len(permutation), dtype=permutation.dtype)
    return TriangularMesh(mesh.vertices[permutation], new_number[mesh.faces])


def banded_icosahedron(splits: int) -> TriangularMesh:
    """The finest mesh in the order in which its k-hop neighbourhoods are a narrow band."""
    mesh = refined_icosahedron(splits)
    return renumber(mesh, banding_permutation(mesh))


def neighbourhood(mesh: TriangularMesh, hops: int) -> sparse.csr_matrix:
    """Pairs of nodes at most ``hops`` steps apart, themselves included.

    The nonzeros of ``(A + I) ** hops``, as a boolean matrix ``[nodes, nodes]``.
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
    """Smallest block with which three neighbouring blocks hold every allowed pair.

    One more than the half-bandwidth of ``allowed``.
    """
    rows, columns = allowed.nonzero()
    return int(np.abs(rows - columns).max()) + 1


def compact_patches(mesh: TriangularMesh, size: int) -> list[NDArray[np.int32]]:
    """All nodes in groups of at most ``size`` that lie close together.

    Recursive coordinate bisection: halves along the direction in which a group is longest, which
    keeps groups equally large (Berger and Bokhari 1987).
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

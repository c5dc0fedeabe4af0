"""Store how the published GenCast rounds its float32 mesh angles. Run it on a CPU with AVX-512.

    python scripts/gencast_angle_roundings.py

The published model computes angles with NumPy's float32 arccos and arctan2. They round differently
on a CPU without AVX-512, and the reference outputs come from one with it. The file stores the
distance of each angle from the correctly rounded value, in units in the last place, so that every
CPU gets the same angles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.sphere.mesh import banded_icosahedron
from perfkit.models.gencast.sphere.mesh_angles import ROUNDINGS, rounded_angles

FINEST = 6
"""Refinements of the finest published mesh."""


def last_places(found: NDArray[np.float32], rounded: NDArray[np.float32]) -> NDArray[np.int8]:
    """Signed number of float32 values from ``rounded`` to ``found``."""
    return (found.view(np.int32) - rounded.view(np.int32)).astype(np.int8)


def main() -> None:
    """Measure every published mesh and write the table."""
    table = {}
    for splits in range(FINEST + 1):
        mesh = banded_icosahedron(splits)
        x, y, z = mesh.vertices.T
        polar, azimuth = rounded_angles(mesh.vertices)
        table[f"polar_{len(mesh.vertices)}"] = last_places(np.arccos(z), polar)
        table[f"azimuth_{len(mesh.vertices)}"] = last_places(np.arctan2(y, x), azimuth)
    np.savez_compressed(ROUNDINGS, allow_pickle=False, **table)
    print(f"{ROUNDINGS}: {ROUNDINGS.stat().st_size} bytes")


if __name__ == "__main__":
    main()

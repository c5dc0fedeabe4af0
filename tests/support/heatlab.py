"""``heatlab``: a program of somebody else that solves the heat equation with JAX."""

from __future__ import annotations

from pathlib import Path

SOLVER = """
def nodes(edge):
    return edge

def solve(edge):
    import jax, jax.numpy as jnp
    size = nodes(edge)
    return jax.jit(lambda plate: jnp.tanh(plate @ plate))(jnp.ones((size, size)))
"""

PROGRAM = """
import sys
from heatlab import solver
print(*[solver.solve(int(edge)).shape[0] for edge in sys.argv[1:]])
"""


def write_heatlab(folder: Path) -> Path:
    """Write the package and a program that solves plates of the edges given; return the program."""
    package = folder / "heatlab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "solver.py").write_text(SOLVER, encoding="utf-8")
    program = folder / "solve.py"
    program.write_text(PROGRAM, encoding="utf-8")
    return program

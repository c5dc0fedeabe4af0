"""Answers of AlphaFold 3's shallow network in float32: all parts at full width, in little time.

Featurisation, padding, knobs and outputs are those of the whole network, so that they can be tested
on many inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perfkit.models.af3 import computation
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.knobs import settings_for
from perfkit.models.af3.run_options import UPSTREAM_FILES, FileOptions
from perfkit.models.prepared import Prepared
from perfkit.records.depths import SHALLOW_DEPTH

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

FLOAT32 = {"precision": "float32"}
FEWEST = {"bucket": "exact", "msa_rows": "needed", "atom_slots": "needed", "templates": "needed"}
"""All knobs that cut padding."""

FIDELITY = {"recycles": 0, "steps": 2, "samples": 1}

Arrays = Mapping[str, npt.NDArray[np.float32]]


def prepare(
    fold_input: Input,
    overrides: Mapping[str, str],
    labels: tuple[str, ...] = (),
    files: FileOptions = UPSTREAM_FILES,
) -> Prepared:
    """Like :meth:`perfkit.models.base.Model.prepare`, in float32 and shallow; it writes files."""
    tokens = count_tokens(fold_input)
    settings = settings_for({**FLOAT32, **overrides}, tokens)
    return computation.prepare(
        fold_input, settings, FIDELITY, {}, tokens, None, labels, depth=SHALLOW_DEPTH, files=files
    )


def answer(fold_input: Input, overrides: Mapping[str, str]) -> Arrays:
    """The compared quantities of one prediction."""
    prepared = prepare(fold_input, overrides)
    outputs = prepared.drive(_compiled(prepared))
    return prepared.compared(outputs)


def relative_distances(some: Arrays, others: Arrays) -> dict[str, float]:
    """Relative distance of each quantity from that of ``others``; NaN if a value is NaN."""
    return {
        name: float(np.linalg.norm(some[name] - values) / np.linalg.norm(values))
        for name, values in others.items()
    }


def _compiled(prepared: Prepared) -> Any:
    """The executable, shared by inputs of the same shapes."""
    import jax

    shapes = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), prepared.arguments)
    leaves, structure = jax.tree.flatten(shapes, is_leaf=lambda x: isinstance(x, tuple))
    key = (str(structure), tuple(map(str, leaves)))
    if key not in _EXECUTABLES:
        _EXECUTABLES[key] = jax.jit(prepared.function).lower(*prepared.arguments).compile()
    return _EXECUTABLES[key]


_EXECUTABLES: dict[Any, Any] = {}

"""Knobs that only cut padding do not change the answer of the real AlphaFold 3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("alphafold3", reason="the real model")

pytestmark = pytest.mark.long

PADDED = {"bucket": "24", "precision": "float32"}
CUT = {
    "bucket": "exact",
    "msa_rows": "needed",
    "atom_slots": "needed",
    "templates": "needed",
    "precision": "float32",
}

RESIDUES = 18

ROUNDING = 1e-5
"""Relative distance: another order of float32 additions stays below it, a wrong window of keys
reaches 1e-2."""


def _compared(overrides: Mapping[str, str]) -> Mapping[str, npt.NDArray[np.float32]]:
    import jax

    from perfkit.models import get_model

    model = get_model("af3")
    prepared = model.prepare(model.workload({"size": RESIDUES}, {"steps": 2}), overrides)
    compiled = jax.jit(prepared.function).lower(*prepared.arguments).compile()
    return prepared.compared(prepared.drive(compiled))


def test_cutting_padding_changes_nothing_but_rounding() -> None:
    padded, cut = _compared(PADDED), _compared(CUT)
    assert padded.keys() == cut.keys()
    for name, values in padded.items():
        distance = np.linalg.norm(cut[name] - values) / np.linalg.norm(values)
        assert distance < ROUNDING, name


STOCK: Mapping[str, str] = {}

SMALL: Mapping[str, Mapping[str, Any]] = {
    "nine residues": {"protein": {"id": "A", "sequence": "RTPQIIKSR"}},
    "one nucleotide": {"rna": {"id": "A", "sequence": "U"}},
    "one ion": {"ligand": {"id": "A", "ccdCodes": ["MG"]}},
}
"""Inputs with fewer than 128 atoms; two have fewer tokens than upstream's smallest window."""


@pytest.mark.parametrize("chain", SMALL.values(), ids=SMALL)
def test_small_inputs_have_the_answer_of_upstreams_smallest_bucket(
    tmp_path: Path, chain: Mapping[str, Any]
) -> None:
    """Runs the shallow network, which has the full width."""
    from benchmarks.shallow_af3 import FEWEST, answer, relative_distances
    from perfkit.models.af3.inputs.fold_input import load_fold_input

    document = {"name": "small", "modelSeeds": [1], "dialect": "alphafold3", "version": 1}
    path = tmp_path / "small.json"
    path.write_text(json.dumps({**document, "sequences": [chain]}))
    fold_input, _ = load_fold_input(path)
    distances = relative_distances(answer(fold_input, FEWEST), answer(fold_input, STOCK))
    assert "single_embedding" in distances
    assert max(distances.values()) < ROUNDING, distances

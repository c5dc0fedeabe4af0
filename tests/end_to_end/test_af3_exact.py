"""Knobs that only cut padding leave the answer of the real AlphaFold 3 as it was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("alphafold3", reason="the real model")

PADDED = {"bucket": "24", "bfloat16": "none"}
CUT = {"bucket": "exact", "msa_rows": "needed", "atom_slots": "needed", "bfloat16": "none"}

RESIDUES = 18

ROUNDING = 1e-5
"""Distance that another order of float32 additions makes; a wrong key window makes 1e-2."""


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

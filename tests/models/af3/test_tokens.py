"""Tokens as the model counts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.models.af3.tokens import count_tokens

type Load = Callable[[str], tuple[Any, tuple[str, ...]]]

_ROOT = Path(__file__).parents[3]

# Worked out by hand from the sum formulas; "heavy" atoms are all but hydrogen.
_TOKENS = {
    "ubiquitin": 76,
    # 10 residues, one of them unknown; 8 nucleotides, one of them unknown; 2 strands of 6.
    "nucleoprotein": 10 + 8 + 2 * 6,
    # 10 residues; haem C34 Fe N4 O4; one magnesium; aspirin C9 O4.
    "holo": 10 + 43 + 1 + 13,
    # 5 standard residues with selenomethionine; SEP C3 N O6 P inside the chain, without OXT;
    # TPO C4 N O6 P at the chain's end, whole; 4 nucleotides; PSU C9 N2 O9 P inside, without OP3;
    # 4 nucleotides; 5CM C10 N3 O7 P at the 5' end, whole.
    "modified": 5 + (11 - 1) + 12 + 4 + (21 - 1) + 4 + 21,
    # 6 residues; three NAG of C8 N O6, each without the O1 that a glycan loses.
    "glycoprotein": 6 + 3 * (15 - 1),
    # 5 residues; C2 O.
    "own_component": 5 + 3,
    "homodimer": 20,
    "aligned": 10 + 8,
}


@pytest.mark.parametrize("name", _TOKENS)
def test_tokens_are_counted_as_worked_out_by_hand(name: str, load: Load) -> None:
    assert count_tokens(load(name)[0]) == _TOKENS[name]


@pytest.mark.parametrize("name", _TOKENS)
def test_the_model_counts_the_same(name: str, featurised: Callable[[str], list[Any]]) -> None:
    (batch, *_) = featurised(name)
    assert batch.numeric["seq_mask"].sum() == _TOKENS[name]
    assert batch.numeric["token_index"].shape == (_TOKENS[name],)


def test_a_glycan_keeps_the_o1_that_a_bond_names(load: Load, data: Path, tmp_path: Path) -> None:
    from perfkit.models.af3.featurise import featurise
    from perfkit.models.af3.inputs import load_fold_input

    text = (data / "glycoprotein.json").read_text().replace('"C1"', '"O1"')
    path = tmp_path / "through_o1.json"
    path.write_text(text)
    fold_input, _ = load_fold_input(path)
    # Two of the three NAG are bonded through their O1.
    assert count_tokens(fold_input) == _TOKENS["glycoprotein"] + 2
    assert featurise(fold_input)[0].numeric["seq_mask"].sum() == _TOKENS["glycoprotein"] + 2


def test_counting_imports_no_jax(component_cache: Path) -> None:
    code = (
        "import sys\n"
        "from perfkit.models.af3.inputs import UBIQUITIN, load_fold_input\n"
        "from perfkit.models.af3.tokens import count_tokens\n"
        "print(count_tokens(load_fold_input(UBIQUITIN)[0]), 'jax' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["76", "False"]

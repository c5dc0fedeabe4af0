"""perfkit's count of tokens against counts by hand and against the model's own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.models.af3.chemistry.components import ccd_for
from perfkit.models.af3.chemistry.tokens import count_tokens, predicted_structure
from tests.support.fold_documents import document
from tests.support.fold_documents import load as load_document

type Load = Callable[[str], tuple[Any, tuple[str, ...]]]

_ROOT = Path(__file__).parents[3]


def _polymer(kind: str, sequence: str, code: str = "", position: int = 0) -> dict[str, Any]:
    words = (
        ("ptmType", "ptmPosition") if kind == "protein" else ("modificationType", "basePosition")
    )
    changes = [dict(zip(words, (code, position), strict=True))] if code else []
    return {kind: {"sequence": sequence, "modifications": changes}}


def _ligand(*codes: str) -> dict[str, Any]:
    return {"ligand": {"ccdCodes": list(codes)}}


# Counted by hand from the molecular formulas, hydrogen left out.
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
def test_tokens_equal_the_count_by_hand(name: str, load: Load) -> None:
    assert count_tokens(load(name)[0]) == _TOKENS[name]


@pytest.mark.parametrize("name", _TOKENS)
def test_the_model_makes_the_same_number_of_tokens(
    name: str, featurised: Callable[[str], list[Any]]
) -> None:
    (batch, *_) = featurised(name)
    assert batch.numeric["seq_mask"].sum() == _TOKENS[name]
    assert batch.numeric["token_index"].shape == (_TOKENS[name],)


def test_a_glycan_keeps_the_o1_that_a_bond_names(load: Load, data: Path, tmp_path: Path) -> None:
    from perfkit.models.af3.featurise import featurise
    from perfkit.models.af3.inputs.fold_input import load_fold_input

    text = (data / "glycoprotein.json").read_text().replace('"C1"', '"O1"')
    path = tmp_path / "through_o1.json"
    path.write_text(text)
    fold_input, _ = load_fold_input(path)
    # Two of the three NAG are bonded through their O1.
    assert count_tokens(fold_input) == _TOKENS["glycoprotein"] + 2
    assert featurise(fold_input)[0].numeric["seq_mask"].sum() == _TOKENS["glycoprotein"] + 2


# Chain -> its content, and its tokens by the molecular formulas; G and A are standard residues.
_SAMPLE: dict[str, tuple[dict[str, Any], int]] = {
    # C11 I N2 O2: its first atom is OXT, so upstream treats it as the end of the chain.
    "A": (_polymer("protein", "GGG", "A1L7E", 2), 2 + 16),
    # C15 N3 O5 without OXT: a chromophore of three residues.
    "B": (_polymer("protein", "GGG", "CRO", 2), 2 + 23 - 1),
    # C4 N O4, whole at the end.
    "C": (_polymer("protein", "GGG", "IAS", 3), 2 + 9),
    # C9 N2 O9 P, without OP3 inside and whole at the beginning.
    "D": (_polymer("rna", "AAA", "H2U", 2), 2 + 21 - 1),
    "E": (_polymer("rna", "AAA", "H2U", 1), 2 + 21),
    # C11 N5 O7 P without OP3, at the end.
    "F": (_polymer("dna", "AAA", "6OG", 3), 2 + 24 - 1),
    # A nucleotide in a protein is not a standard residue: C10 N5 O7 P.
    "G": (_polymer("protein", "GGG", "A", 2), 2 + 23),
    # Chains of unknown residues only are dropped; a chain with one known residue is not.
    "H": (_polymer("protein", "XXX"), 0),
    "I": (_polymer("protein", "XGX"), 3),
    "J": (_polymer("dna", "NN"), 0),
    "K": (_polymer("rna", "NN"), 0),
    "L": (_ligand("UNK"), 0),
    # Glycine replaces an unknown component, and glycerol is not a glycan: C3 O3.
    "M": (_ligand("UNK", "GOL"), 5 + 6),
    # Glucose C6 O6 loses its O1.
    "N": (_ligand("GLC"), 12 - 1),
    # Ions, waters and an atom without an element.
    "O": (_ligand("MG"), 1),
    "P": (_ligand("NH4"), 1),
    "Q": (_ligand("OH"), 1),
    "R": (_ligand("HOH"), 1),
    "S": (_ligand("DOD"), 1),
    "T": (_ligand("UNX"), 1),
    # Deuterium alone, and a ligand whose first atom is hydrogen, are dropped.
    "U": (_ligand("D8U"), 0),
    "V": (_ligand("HNF"), 0),
    # Without ideal coordinates: C24 Sb.
    "W": (_ligand("118"), 24 + 1),
    # Deuterium is hydrogen: C O.
    "X": ({"ligand": {"smiles": "[2H]OC"}}, 2),
}


@pytest.fixture(scope="module")
def sample(component_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    chains = []
    for name, (entry, _) in _SAMPLE.items():
        ((kind, content),) = entry.items()
        chains.append({kind: {"id": name, **content}})
    return load_document(document(*chains), tmp_path_factory.mktemp("sample"))[0]


def test_tokens_of_every_chain_equal_the_count_by_hand(sample: Any) -> None:
    counts = dict.fromkeys(_SAMPLE, 0)
    for residue in predicted_structure(sample, ccd_for(sample)).residues:
        counts[residue.chain] += len(residue.tokens)
    assert counts == {name: tokens for name, (_, tokens) in _SAMPLE.items()}
    assert count_tokens(sample) == sum(tokens for _, tokens in _SAMPLE.values())


def test_the_model_makes_the_same_tokens_per_residue(sample: Any) -> None:
    """Compared in upstream's order of chains and residues."""
    from perfkit.models.af3.featurise import featurise

    (batch,) = featurise(sample)
    ours = [
        len(residue.tokens) for residue in predicted_structure(sample, ccd_for(sample)).residues
    ]
    residues = batch.numeric["residue_index"].astype(int)
    chains = batch.numeric["asym_id"].astype(int)
    theirs = [
        len(list(group))
        for _, group in itertools.groupby(zip(chains.tolist(), residues.tolist(), strict=True))
    ]
    assert theirs == ours


def test_counting_tokens_does_not_import_jax(component_cache: Path) -> None:
    code = (
        "import sys\n"
        "from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input\n"
        "from perfkit.models.af3.chemistry.tokens import count_tokens\n"
        "print(count_tokens(load_fold_input(UBIQUITIN)[0]), 'jax' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["76", "False"]

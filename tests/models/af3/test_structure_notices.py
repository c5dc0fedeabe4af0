"""Notices about chains, residues, bonds and components that AlphaFold 3 drops or replaces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.models.af3.chemistry.tokens import count_tokens
from tests.support.fold_documents import document, ligand, load, notices, protein, refusal

pytestmark = pytest.mark.usefixtures("component_cache")


def _bond(*atoms: Any) -> Any:
    return {"bondedAtomPairs": [list(map(list, atoms))]}


def test_an_ignored_bond_between_polymers_is_reported(tmp_path: Path) -> None:
    given = document(
        protein("A", sequence="GCAKLVCE"),
        protein("B", sequence="GCAKLE"),
        bondedAtomPairs=[[["A", 2, "SG"], ["A", 7, "SG"]], [["A", 2, "SG"], ["B", 2, "SG"]]],
    )
    assert notices(given, tmp_path) == (
        "the bond A 2 SG - A 7 SG is ignored: AlphaFold 3 does not use bonds between polymers",
        "the bond A 2 SG - B 2 SG is ignored: AlphaFold 3 does not use bonds between polymers",
    )


@pytest.mark.parametrize(
    ("bond", "reason"),
    [
        ((("L", 1, "C1"), ("L", 1, "C2")), "only the bonds of its component"),
        ((("A", 1, "N"), ("L", 1, "H1")), "chain L is not predicted"),
        ((("A", 2, "N1"), ("L", 1, "C1")), "UDP of chain A is predicted without a token of CA"),
        ((("A", 1, "N"), ("X", 1, "N")), "chain X is not predicted"),
        ((("A", 1, "H2"), ("L", 1, "C1")), "predicts neither hydrogens"),
    ],
)
def test_a_bond_without_a_token_is_reported(bond: Any, reason: str, tmp_path: Path) -> None:
    """The nucleotide UDP as a residue has no CA, to which upstream assigns a protein's bonds."""
    given = document(
        protein("A", modifications=[{"ptmType": "UDP", "ptmPosition": 2}]),
        ligand("L", "NAG"),
        ligand("X", "UNK"),
        **_bond(*bond),
    )
    found = notices(given, tmp_path)
    assert any("is ignored" in notice and reason in notice for notice in found)


def test_a_bond_to_an_atom_that_is_not_predicted_is_refused(tmp_path: Path) -> None:
    """Inside a strand a nucleotide has no OP3; upstream's own layout fails on such a bond."""
    given = document(
        {"dna": {"id": "A", "sequence": "GATTACA"}},
        ligand("L", "NAG"),
        bondedAtomPairs=[[["A", 3, "OP3"], ["L", 1, "C1"]]],
    )
    assert "a bond names the atom OP3 of residue 3 of chain A" in refusal(given, tmp_path)


def test_a_bond_that_is_used_causes_no_notice(tmp_path: Path) -> None:
    given = document(
        protein("A", sequence="MKNAYIAK"),
        ligand("L", "NAG", "NAG"),
        bondedAtomPairs=[[["A", 3, "ND2"], ["L", 1, "C1"]], [["L", 1, "O4"], ["L", 2, "C1"]]],
    )
    assert notices(given, tmp_path) == ()


def test_dropped_chains_of_unknown_residues_are_reported(tmp_path: Path) -> None:
    given = document(
        protein("A"),
        protein("B", sequence="XXXXX"),
        {"rna": {"id": "R", "sequence": "NNNN", "unpairedMsa": ""}},
        ligand("L", "UNK"),
    )
    fold_input, found = load(given, tmp_path)
    assert count_tokens(fold_input) == 8
    dropped = "is left out of the prediction: AlphaFold 3 drops chains of unknown residues only"
    for chain in ("protein chain B", "RNA chain R", "ligand chain L"):
        assert any(notice.startswith(f"{chain} {dropped}") for notice in found)


def test_a_dropped_ligand_that_begins_with_a_hydrogen_is_reported(tmp_path: Path) -> None:
    """D8U is a deuterium ion."""
    (notice,) = notices(document(protein("A"), ligand("L", "D8U")), tmp_path)
    assert notice == (
        "ligand chain L is left out of the prediction: "
        "AlphaFold 3 drops chains whose components begin with a hydrogen, or of which bonds name "
        "only hydrogens or leaving atoms (D8U)"
    )


def test_an_input_with_nothing_to_predict_is_refused(tmp_path: Path) -> None:
    message = refusal(document(ligand("L", "UNK"), protein("A", sequence="XXXXX")), tmp_path)
    assert "there is nothing to predict" in message


@pytest.mark.parametrize(
    ("chain", "notice"),
    [
        (
            protein("A", sequence="GSUABKOX"),
            "protein chain A: AlphaFold 3 predicts U at 3, B at 5, O at 7, X at 8 as unknown, "
            "without a side chain",
        ),
        (
            {"dna": {"id": ["A", "B"], "sequence": "GACRYT"}},
            "DNA chains A, B: AlphaFold 3 predicts R at 4, Y at 5 as unknown, without a base",
        ),
        (
            {"rna": {"id": "A", "sequence": "GATC", "unpairedMsa": ""}},
            "RNA chain A: AlphaFold 3 predicts T at 3 as unknown, without a base",
        ),
        (
            protein("A", sequence="mKTA"),
            "protein chain A: AlphaFold 3 predicts m at 1 as unknown, without a side chain",
        ),
    ],
)
def test_letters_that_become_unknown_residues_are_reported(
    chain: Any, notice: str, tmp_path: Path
) -> None:
    assert notices(document(chain), tmp_path) == (notice,)


def test_an_unknown_letter_with_a_modification_is_known(tmp_path: Path) -> None:
    given = protein("A", modifications=[{"ptmType": "SEP", "ptmPosition": 3}], sequence="MKXA")
    assert notices(document(given), tmp_path) == ()


def test_the_oxygen_that_a_glycan_without_bonds_loses_is_reported(tmp_path: Path) -> None:
    given = document(protein("A"), ligand("L", "NAG"), ligand("M", "NAG"))
    assert notices(given, tmp_path) == (
        "predicted without O1: residue 1 of chain L (NAG), residue 1 of chain M (NAG); "
        "AlphaFold 3 drops that atom from every glycan unless a bond names it",
    )


def test_unused_components_of_the_input_are_reported(data: Path, tmp_path: Path) -> None:
    own = json.loads((data / "own_component.json").read_text())["userCCD"]
    found = notices(document(protein("A"), userCCD=own), tmp_path)
    assert found == ("userCCD defines components that no chain uses: PKE",)

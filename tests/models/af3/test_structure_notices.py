"""What AlphaFold 3 drops or replaces of chains, residues, bonds and components is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit.models.af3.chemistry.tokens import count_tokens
from tests.support.fold_documents import document, ligand, load, notices, protein, refusal

pytestmark = pytest.mark.usefixtures("component_cache")


def _bond(*atoms: Any) -> Any:
    return {"bondedAtomPairs": [list(map(list, atoms))]}


def test_a_bond_between_polymers_is_said(tmp_path: Path) -> None:
    given = document(
        protein("A", sequence="GCAKLVCE"),
        protein("B", sequence="GCAKLE"),
        bondedAtomPairs=[[["A", 2, "SG"], ["A", 7, "SG"]], [["A", 2, "SG"], ["B", 2, "SG"]]],
    )
    assert notices(given, tmp_path) == (
        "the bond A 2 SG - A 7 SG is ignored: AlphaFold 3 takes no bonds between polymers",
        "the bond A 2 SG - B 2 SG is ignored: AlphaFold 3 takes no bonds between polymers",
    )


@pytest.mark.parametrize(
    ("bond", "reason"),
    [
        ((("L", 1, "C1"), ("L", 1, "C2")), "no bonds inside one residue"),
        ((("A", 1, "N"), ("L", 1, "H1")), "chain L is left out"),
        ((("A", 2, "N1"), ("L", 1, "C1")), "UDP of chain A is predicted without a token of CA"),
        ((("A", 1, "N"), ("X", 1, "N")), "chain X is left out"),
        ((("A", 1, "H2"), ("L", 1, "C1")), "predicts no hydrogen"),
    ],
)
def test_a_bond_that_reaches_no_token_is_said(bond: Any, reason: str, tmp_path: Path) -> None:
    """The nucleotide UDP as a residue has no CA, on which upstream puts a protein's bonds."""
    given = document(
        protein("A", modifications=[{"ptmType": "UDP", "ptmPosition": 2}]),
        ligand("L", "NAG"),
        ligand("X", "UNK"),
        **_bond(*bond),
    )
    assert any("is ignored" in each and reason in each for each in notices(given, tmp_path))


def test_a_bond_of_an_atom_that_is_not_predicted_is_refused(tmp_path: Path) -> None:
    """Inside a strand a nucleotide has no OP3; upstream's own layout fails on such a bond."""
    given = document(
        {"dna": {"id": "A", "sequence": "GATTACA"}},
        ligand("L", "NAG"),
        bondedAtomPairs=[[["A", 3, "OP3"], ["L", 1, "C1"]]],
    )
    assert "a bond names OP3 of residue 3 of chain A" in refusal(given, tmp_path)


def test_a_bond_that_counts_is_not_spoken_of(tmp_path: Path) -> None:
    given = document(
        protein("A", sequence="MKNAYIAK"),
        ligand("L", "NAG", "NAG"),
        bondedAtomPairs=[[["A", 3, "ND2"], ["L", 1, "C1"]], [["L", 1, "O4"], ["L", 2, "C1"]]],
    )
    assert notices(given, tmp_path) == ()


def test_chains_of_unknown_residues_are_left_out_and_said(tmp_path: Path) -> None:
    given = document(
        protein("A"),
        protein("B", sequence="XXXXX"),
        {"rna": {"id": "R", "sequence": "NNNN", "unpairedMsa": ""}},
        ligand("L", "UNK"),
    )
    fold_input, said = load(given, tmp_path)
    assert count_tokens(fold_input) == 8
    left_out = "is left out of the prediction: AlphaFold 3 drops chains of unknown residues only"
    for chain in ("protein chain B", "RNA chain R", "ligand chain L"):
        assert any(each.startswith(f"{chain} {left_out}") for each in said)


def test_a_ligand_that_begins_with_a_hydrogen_is_left_out_and_said(tmp_path: Path) -> None:
    """D8U is a deuterium ion."""
    (notice,) = notices(document(protein("A"), ligand("L", "D8U")), tmp_path)
    assert notice == (
        "ligand chain L is left out of the prediction: "
        "AlphaFold 3 drops chains whose components begin with a hydrogen, or of which bonds name "
        "only hydrogens or leaving atoms (D8U)"
    )


def test_an_input_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    message = refusal(document(ligand("L", "UNK"), protein("A", sequence="XXXXX")), tmp_path)
    assert "there is nothing to predict" in message


@pytest.mark.parametrize(
    ("chain", "said"),
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
def test_letters_that_become_unknown_residues_are_said(
    chain: Any, said: str, tmp_path: Path
) -> None:
    assert notices(document(chain), tmp_path) == (said,)


def test_a_modified_unknown_letter_is_known(tmp_path: Path) -> None:
    given = protein("A", modifications=[{"ptmType": "SEP", "ptmPosition": 3}], sequence="MKXA")
    assert notices(document(given), tmp_path) == ()


def test_the_oxygen_that_a_lone_glycan_loses_is_said(tmp_path: Path) -> None:
    given = document(protein("A"), ligand("L", "NAG"), ligand("M", "NAG"))
    assert notices(given, tmp_path) == (
        "predicted without O1: residue 1 of chain L (NAG), residue 1 of chain M (NAG); "
        "AlphaFold 3 drops that atom of every glycan unless a bond names it",
    )


def test_own_components_that_no_chain_uses_are_said(data: Path, tmp_path: Path) -> None:
    import json

    own = json.loads((data / "own_component.json").read_text())["userCCD"]
    said = notices(document(protein("A"), userCCD=own), tmp_path)
    assert said == ("userCCD defines PKE, which no chain uses",)

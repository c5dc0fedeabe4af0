"""Fold inputs: accepted documents, filled-in values, and refusals with their messages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import MissingDependencyError, UserError
from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input, synthetic_protein
from perfkit.models.af3.package import ensure_installed
from tests.support.fold_documents import SEQUENCE, Json, document, protein, refusal
from tests.support.fold_documents import load as load_document

type Load = Callable[[str], tuple[Any, tuple[str, ...]]]

pytestmark = pytest.mark.usefixtures("component_cache")


def _protein(**changes: Any) -> Json:
    return document({"protein": {"id": "A", "sequence": SEQUENCE, **changes}})


def test_the_default_input_is_ubiquitin(load: Load) -> None:
    fold_input, notices = load("ubiquitin")
    (chain,) = fold_input.chains
    # PDB entry 1UBQ: 76 residues from MQIF to LRGG.
    assert (len(chain), chain.sequence[:4], chain.sequence[-4:]) == (76, "MQIF", "LRGG")
    assert (fold_input.name, fold_input.rng_seeds) == ("ubiquitin", (1,))
    assert notices == (
        "protein chain A: no unpaired MSA, paired MSA or templates, "
        "predicted from the single sequence",
    )


def test_missing_alignments_become_empty(load: Load) -> None:
    protein, rna, dna, _ = load("nucleoprotein")[0].chains
    assert (protein.unpaired_msa, protein.paired_msa, protein.templates) == ("", "", ())
    assert rna.unpaired_msa == ""
    assert not hasattr(dna, "unpaired_msa")


def test_notices_name_the_missing_alignments(load: Load) -> None:
    assert load("homodimer")[1] == (
        "protein chains A, B: no unpaired MSA, paired MSA or templates, "
        "predicted from the single sequence",
    )
    assert load("nucleoprotein")[1][1] == (
        "RNA chain B: no unpaired MSA, predicted from the single sequence"
    )


def test_a_partly_aligned_chain_keeps_its_msa(tmp_path: Path) -> None:
    a3m = ">query\nMKTAYIAK\n>hit\nMRTAYIAK\n"
    fold_input, notices = load_document(_protein(unpairedMsa=a3m), tmp_path)
    assert fold_input.chains[0].unpaired_msa == a3m
    assert notices == ("protein chain A: no paired MSA or templates",)


def test_relative_paths_start_from_the_folder_of_the_input(load: Load, data: Path) -> None:
    protein, _ = load("aligned")[0].chains
    assert protein.unpaired_msa == (data / "ubiquitin.a3m").read_text()
    (template,) = protein.templates
    assert template.mmcif == (data / "template.cif").read_text()
    assert template.query_to_template_map == {1: 0, 2: 1, 3: 2, 4: 3}


def test_modifications_reach_the_input(load: Load) -> None:
    protein, rna, dna = load("modified")[0].chains
    assert protein.to_ccd_sequence() == ["MET", "LYS", "SEP", "MSE", "ALA", "SER", "TPO"]
    assert rna.to_ccd_sequence() == ["G", "PSU", "A", "C", "U"]
    assert dna.to_ccd_sequence() == ["5CM", "DG", "DC", "DG", "DA"]


def test_a_user_defined_component_can_come_from_a_file(data: Path, tmp_path: Path) -> None:
    given = json.loads((data / "own_component.json").read_text())
    (tmp_path / "own.cif").write_text(given.pop("userCCD"))
    fold_input, _ = load_document({**given, "userCCDPath": "own.cif"}, tmp_path)
    assert "data_PKE" in fold_input.user_ccd


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ('{"name": ', "not valid JSON: expecting value at line 1, column 10"),
        ("[" * 100_000, "not valid JSON"),
        ("3", "is not a JSON object"),
        ("[]", "holds no AlphaFold Server job"),
        ([{}, {}], "holds 2 AlphaFold Server jobs"),
        (document(dialect="alphafoldserver"), "whose jobs must be in a list"),
        ([7], "its job is not a JSON object"),
        ([{"name": "job"}], "sequences is missing"),
        ({"name": "x"}, 'dialect is missing; accepted: "alphafold3"'),
        (document(dialect="boltz"), 'dialect is "boltz"; accepted: "alphafold3"'),
        (document(version=99), "version is 99; accepted: 1, 2, 3, 4"),
        (document(sequences=[]), "there are no chains"),
        (document(sequences="MKT"), "sequences: input should be a valid list"),
        (document(sequences=[{}]), "sequences[0]: an entry holds exactly one of"),
        (document(sequences=[{"lipid": {"id": "A"}}]), "an entry holds exactly one of"),
        (document(modelSeeds=[]), "at least one rng seed"),
        (document(modelSeeds=[-1]), "modelSeeds[0]: input should be greater than or equal to 0"),
        (document(modelSeeds=[2**32]), "modelSeeds[0]: input should be less than or equal to"),
        (document(modelSeeds=[1.5]), "modelSeeds[0]: input should be a valid integer"),
        (document(modelSeeds=["one"]), "modelSeeds[0]: input should be a valid integer"),
        (document(name=""), "name must be non-empty"),
        (document(colour="red"), "Unexpected JSON keys in: colour"),
        (
            document(sequences=[{"protein": {"id": "A"}}]),
            "sequences[0].protein.sequence is missing",
        ),
        (_protein(id=""), "unset IDs"),
        (_protein(id="a"), "upper case"),
        (_protein(id=["A", "A"]), "duplicate IDs"),
        (_protein(sequence=""), "sequences[0].protein.sequence is empty"),
        (_protein(sequence="MK TA"), "' ' at position 3 of the sequence is not a letter"),
        (_protein(sequence="MKTA*"), "'*' at position 5 of the sequence is not a letter"),
        (_protein(sequence=["M"]), "sequences[0].protein.sequence: input should be a valid string"),
        (_protein(modifications=[{"ptmType": "SEP"}]), "ptmPosition is missing"),
        (
            _protein(modifications=[{"ptmType": "SEP", "ptmPosition": 2.0}]),
            "ptmPosition: input should be a valid integer",
        ),
        (
            _protein(modifications=[{"ptmType": "SEP", "ptmPosition": 9}]),
            "Invalid protein modification index",
        ),
        (
            _protein(modifications=[{"ptmType": "SEPX", "ptmPosition": 1}]),
            "unknown chemical component 'SEPX'",
        ),
        (_protein(unpairedMsaPath="no.a3m"), "unpairedMsaPath is no.a3m, but there is no such"),
        (document(userCCDPath="no.cif"), "userCCDPath is no.cif"),
        (_protein(unpairedMsa=">q\nMKTAYIAR\n"), "the unpaired MSA of chain A does not fit"),
        (_protein(pairedMsa=">q\nMKTAYIAK\n>h\nMKT\n"), "the paired MSA of chain A does not fit"),
        (_protein(templates=[{"queryIndices": [], "templateIndices": []}]), "mmcif or mmcifPath"),
        (
            _protein(templates=[{"mmcif": "data_x\n", "queryIndices": [0], "templateIndices": []}]),
            "differ in length",
        ),
        (
            _protein(
                templates=[{"mmcif": "data_x\n", "queryIndices": [0], "templateIndices": [0]}]
            ),
            "template 1 of chain A cannot be used",
        ),
        (document(userCCD="rubbish"), "not a valid fold input"),
    ],
)
def test_a_bad_input_is_refused_in_one_sentence(
    content: object, words: str, tmp_path: Path
) -> None:
    assert words.lower() in refusal(content, tmp_path).lower()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"ccdCodes": ["XQZ9"]}, "unknown chemical component 'XQZ9'"),
        ({"ccdCodes": ["UNL"]}, "'UNL' cannot be predicted: it has no atoms"),
        ({"smiles": "[H][H]"}, "has no heavy atom"),
        ({"ccdCodes": []}, "ccdCodes is empty"),
        ({"ccdCodes": "HEM"}, "ccdCodes: input should be a valid list"),
        ({}, "needs either ccdCodes or smiles"),
        ({"smiles": ""}, "needs either ccdCodes or smiles"),
        ({"smiles": "[H+]"}, "ligand L cannot be predicted: the SMILES string '[H+]' has no"),
        ({"smiles": "C1CC"}, "C1CC"),
        ({"smiles": "not a molecule"}, "not a molecule"),
        ({"smiles": "CC", "ccdCodes": ["HEM"]}, "both CCD code and SMILES"),
    ],
)
def test_a_bad_ligand_is_refused_in_one_sentence(
    content: Json, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = document(sequences=[{"ligand": {"id": "L", **content}}])
    assert words.lower() in refusal(given, tmp_path).lower()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("bond", "words"),
    [
        ([["A", 1, "CA"], ["Z", 1, "CA"]], "Invalid chain ID"),
        ([["A", 1, "CA"], ["A", 99, "CA"]], "Invalid residue ID"),
        ([["A", 1, "CA"], ["A", 2, "XX"]], 'Bonded atom "XX" was not found'),
        ([["A", 1, "CA"]], "bondedAtomPairs[0][1] is missing"),
        (["A", "B"], "bondedAtomPairs[0][0]: input should be a valid tuple"),
        (7, "bondedAtomPairs[0]: input should be a valid tuple"),
        ([["A", 1.0, "CA"], ["A", 2, "CA"]], "bondedAtomPairs[0][0][1]: input should be a valid"),
    ],
)
def test_a_bad_bond_is_refused_in_one_sentence(bond: object, words: str, tmp_path: Path) -> None:
    assert words in refusal(document(bondedAtomPairs=[bond]), tmp_path)


def test_a_template_mapped_beyond_its_end_is_refused(data: Path, tmp_path: Path) -> None:
    template = {
        "mmcif": (data / "template.cif").read_text(),
        "queryIndices": [0],
        "templateIndices": [5],
    }
    assert "template 1 of chain A" in refusal(_protein(templates=[template]), tmp_path)


@pytest.mark.parametrize("key", ["queryIndices", "templateIndices"])
def test_a_negative_template_index_is_refused(key: str, data: Path, tmp_path: Path) -> None:
    """NumPy would count it from the end of the array."""
    template = {
        "mmcif": (data / "template.cif").read_text(),
        "queryIndices": [0],
        "templateIndices": [0],
        key: [-1],
    }
    message = refusal(document(protein("B", templates=[template])), tmp_path)
    assert f"template 1 of chain B: {key} contains -1, but residues are counted from 0" in message


@pytest.mark.parametrize("text", ["m.a3m", "MKTAYIAK", "junk\n>q\nMKTAYIAK\n"])
def test_an_msa_that_is_not_a3m_is_refused(text: str, tmp_path: Path) -> None:
    """Upstream finds no row in it and silently predicts from the single sequence."""
    message = refusal(document(protein(unpairedMsa=text)), tmp_path)
    assert "the unpaired MSA of chain A is not A3M" in message
    assert "give a path as unpairedMsaPath" in message


def test_an_a3m_may_begin_with_a_comment(tmp_path: Path) -> None:
    """The files of ColabFold do."""
    a3m = "#8\t1\n>q\nMKTAYIAK\n>h\nMRTAYIAK\n"
    (chain,) = load_document(document(protein(unpairedMsa=a3m)), tmp_path)[0].chains
    assert chain.unpaired_msa == a3m


def test_empty_values_count_as_absent(tmp_path: Path) -> None:
    """Upstream's parser treats them in this way."""
    (tmp_path / "m.a3m").write_text(">q\nMKTAYIAK\n>h\nMRTAYIAK\n")
    chain = {
        "id": "A",
        "sequence": SEQUENCE,
        "unpairedMsaPath": "m.a3m",
        "pairedMsaPath": "",
        "templates": None,
    }
    given = document(
        {"protein": chain},
        {"ligand": {"id": "L", "ccdCodes": ["MG"], "smiles": ""}},
        bondedAtomPairs=None,
        userCCD="",
        userCCDPath="",
    )
    fold_input, notices = load_document(given, tmp_path)
    first, second = fold_input.chains
    assert "MRTAYIAK" in (getattr(first, "unpaired_msa", "") or "")
    assert getattr(second, "ccd_ids", ()) == ("MG",)
    assert notices == ("protein chain A: no paired MSA or templates",)


def test_a_seed_that_is_given_twice_is_computed_once(tmp_path: Path) -> None:
    fold_input, notices = load_document(document(modelSeeds=[7, 7, 3]), tmp_path)
    assert fold_input.rng_seeds == (7, 3)
    assert notices == ("model seed 7 is given 2 times and computed once",)


def test_a_second_modification_of_a_residue_is_reported(tmp_path: Path) -> None:
    twice = [{"ptmType": code, "ptmPosition": 2} for code in ("SEP", "TPO")]
    fold_input, notices = load_document(document(protein(modifications=twice)), tmp_path)
    assert fold_input.protein_chains[0].to_ccd_sequence()[1] == "TPO"
    assert notices[0] == (
        "protein chain A: residue 2 is modified 2 times; AlphaFold 3 uses the last modification"
    )


def test_the_warnings_of_rdkit_become_notices(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = document(protein(), {"ligand": {"id": "L", "smiles": "[H+].CC"}})
    assert any("hydrogen" in notice for notice in load_document(given, tmp_path)[1])
    assert capfd.readouterr().err == ""


def test_a_corrupt_compressed_msa_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.a3m.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    assert "cannot be read" in refusal(_protein(unpairedMsaPath="broken.a3m.gz"), tmp_path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        load_fold_input(tmp_path / "none.json")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory"):
        load_fold_input(tmp_path)


def test_binary_input_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_bytes(b"\x80\x81\x82")
    with pytest.raises(UserError, match="not a UTF-8 text file"):
        load_fold_input(path)


def test_a_message_does_not_quote_a_whole_alignment(tmp_path: Path) -> None:
    given = document(protein(sequence="M" * 3000, unpairedMsa=">q\n" + "A" * 3000))
    assert len(refusal(given, tmp_path)) < 600


def test_missing_packages_are_named() -> None:
    with pytest.raises(MissingDependencyError, match="needs absent_a and absent_b, which are not"):
        ensure_installed(("pytest", "absent_a", "absent_b"))


def test_a_synthetic_protein_has_the_length_asked_for() -> None:
    for residues in (1, 5, 300):
        (chain,) = synthetic_protein(residues, seed=0).chains
        assert len(chain) == residues


def test_a_synthetic_protein_depends_on_its_seed_alone() -> None:
    assert synthetic_protein(100, seed=7) == synthetic_protein(100, seed=7)
    assert synthetic_protein(100, seed=7).chains != synthetic_protein(100, seed=8).chains


def test_a_synthetic_protein_has_natural_composition() -> None:
    (chain,) = synthetic_protein(20_000, seed=1).chains
    percent = {letter: 100 * n / 20_000 for letter, n in Counter(chain.sequence).items()}
    assert set(percent) == set("ACDEFGHIKLMNPQRSTVWY")
    # The most common residues of Swiss-Prot and the rarest; four standard errors are 0.8 and 0.3.
    assert percent["L"] == pytest.approx(9.65, abs=0.8)
    assert percent["A"] == pytest.approx(8.25, abs=0.8)
    assert percent["W"] == pytest.approx(1.10, abs=0.3)


def test_a_synthetic_protein_needs_residues() -> None:
    with pytest.raises(UserError, match="at least 1 residue, not 0"):
        synthetic_protein(0, seed=1)


def test_the_default_input_is_part_of_the_package() -> None:
    assert UBIQUITIN.is_file()
    assert UBIQUITIN.parent.parent.name == "af3"

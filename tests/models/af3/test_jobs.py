"""Jobs of AlphaFold 3: tokens are counted as the model counts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.jobs import input_with_seeds, summarise_input
from tests.support.fold_documents import write_input

pytest.importorskip("alphafold3", reason="inputs are read by the af3 extra")


PROTEIN = {"protein": {"id": "A", "sequence": "MKTAYIAKQR"}}


def test_ligands_and_modified_residues_count_by_atom(tmp_path: Path) -> None:
    """10 residues; ATP has 31 heavy atoms; of 10 residues one is phosphoserine, whose 10 heavy
    atoms (without OXT) count one each."""
    ligand = {"ligand": {"id": "L", "ccdCodes": ["ATP"]}}
    modified = {
        "protein": {
            "id": "B",
            "sequence": "MKTSYIAKQR",
            "modifications": [{"ptmType": "SEP", "ptmPosition": 4}],
        }
    }
    assert summarise_input(write_input(tmp_path / "a.json", PROTEIN, ligand)).tokens == 41
    assert summarise_input(write_input(tmp_path / "b.json", modified)).tokens == 19


def test_a_fasta_file_is_one_complex_and_its_guesses_become_notices(tmp_path: Path) -> None:
    path = tmp_path / "pair.fasta"
    path.write_text(">one\nMKTA\nYIAK\n>two\nacgu\n>three\nACGT\n")
    given = summarise_input(path)
    assert (given.name, given.tokens, given.seeds) == ("pair", 16, 1)
    for record, kind in (("1 'one'", "protein"), ("2 'two'", "RNA"), ("3 'three'", "DNA")):
        assert any(
            notice.startswith(f"record {record}: guessed to be {kind}") for notice in given.notices
        )


def test_a_bad_fasta_file_is_refused_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "bad.fa"
    path.write_text(">a\nMK?\n")
    with pytest.raises(UserError, match=f"^{path}: record 1 'a' holds '\\?'"):
        summarise_input(path)


def test_an_input_can_be_given_more_seeds_than_it_names(tmp_path: Path) -> None:
    path = write_input(tmp_path / "one.json", PROTEIN)
    for options in ({"input": str(path)}, {"size": "12"}):
        written = tmp_path / "more.json"
        written.write_text(input_with_seeds(options, 3))
        given = summarise_input(written)
        assert given.seeds == 3
        assert given.tokens == (10 if "input" in options else 12)


def test_an_msa_becomes_a_notice(tmp_path: Path) -> None:
    alignment = {"unpairedMsa": ">a\nMKTAY\n>b\nMKTAW\n", "pairedMsa": "", "templates": []}
    chain = {"id": "A", "sequence": "MKTAY", **alignment}
    notices = summarise_input(write_input(tmp_path / "msa.json", {"protein": chain})).notices
    assert notices[0].startswith("it has an MSA")


def test_parts_that_the_model_ignores_become_notices(tmp_path: Path) -> None:
    ligand = {"ligand": {"id": "L", "ccdCodes": ["UNK"]}}
    given = summarise_input(write_input(tmp_path / "a.json", PROTEIN, ligand))
    assert given.tokens == 10
    assert any("ligand chain L is left out" in notice for notice in given.notices)


def test_a_job_of_a_server_file_keeps_its_name_with_more_seeds(tmp_path: Path) -> None:
    chain = {"proteinChain": {"sequence": "MKTAY"}}
    jobs = [{"name": name, "modelSeeds": [], "sequences": [chain]} for name in ("One", "Two")]
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps(jobs))
    document = json.loads(input_with_seeds({"input": str(path), "job": "2"}, 2))
    assert (document["name"], document["modelSeeds"]) == ("Two", [1, 2])

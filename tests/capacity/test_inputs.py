"""Folders of inputs: tokens are counted as the model counts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.queue.inputs import read_folder, read_input, with_seeds
from perfkit.capacity.queue.jobs import read_jobs
from perfkit.errors import UserError

pytest.importorskip("alphafold3", reason="inputs are read by the af3 extra")


def _write(path: Path, *sequences: dict[str, Any], seeds: tuple[int, ...] = (1,)) -> Path:
    document = {
        "dialect": "alphafold3",
        "version": 1,
        "name": path.stem,
        "modelSeeds": list(seeds),
        "sequences": list(sequences),
    }
    path.write_text(json.dumps(document))
    return path


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
    assert read_input(_write(tmp_path / "a.json", PROTEIN, ligand)).tokens == 41
    assert read_input(_write(tmp_path / "b.json", modified)).tokens == 19


def test_a_fasta_file_is_one_complex_and_its_guesses_are_said(tmp_path: Path) -> None:
    path = tmp_path / "pair.fasta"
    path.write_text(">one\nMKTA\nYIAK\n>two\nacgu\n>three\nACGT\n")
    given = read_input(path)
    assert (given.name, given.tokens, given.seeds) == ("pair", 16, 1)
    for record, kind in (("1 'one'", "protein"), ("2 'two'", "RNA"), ("3 'three'", "DNA")):
        assert any(
            each.startswith(f"record {record}: guessed to be {kind}") for each in given.notices
        )


def test_a_bad_fasta_file_is_refused_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "bad.fa"
    path.write_text(">a\nMK?\n")
    with pytest.raises(UserError, match=f"^{path}: record 1 'a' holds '\\?'"):
        read_input(path)


def test_every_job_of_a_server_file_is_planned(tmp_path: Path) -> None:
    jobs = [
        {"name": name, "modelSeeds": [], "sequences": [{"proteinChain": {"sequence": sequence}}]}
        for name, sequence in (("One", "MKTAY"), ("Two", "MKTAYIAK"), ("Bad", "MK*"))
    ]
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps(jobs))
    (one, two), (reject,) = read_folder(tmp_path)
    assert [(job.name, job.size) for job in (one, two)] == [("One", 5), ("Two", 8)]
    assert two.options == {"input": str(path), "job": "2"}
    assert json.loads(with_seeds(two.options, 2))["name"] == "Two"
    assert reject.name == "jobs, job 3"
    assert "must contain only letters" in reject.sentence


def test_a_row_of_a_csv_that_names_several_jobs_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text("[{}, {}]")
    (tmp_path / "queue.csv").write_text("name,file\na,jobs.json\n")
    jobs, (reject,) = read_jobs(tmp_path / "queue.csv")
    assert jobs == []
    assert "holds 2 AlphaFold Server jobs: name its folder with --jobs" in reject.reason


def test_a_folder_is_a_queue_and_bad_files_are_rejects(tmp_path: Path) -> None:
    _write(tmp_path / "good.json", PROTEIN, seeds=(1, 2))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "notes.txt").write_text("not an input")
    (tmp_path / "seq.fasta").write_text(">x\nMKTAY\n")
    jobs, (reject,) = read_folder(tmp_path)
    assert [(job.name, job.size, job.fidelity["seeds"]) for job in jobs] == [
        ("good", 10, 2),
        ("seq", 5, 1),
    ]
    assert reject.name == "broken"
    assert "is not valid JSON" in reject.sentence


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no fold input"):
        read_folder(tmp_path)


def test_an_input_can_be_given_more_seeds_than_it_names(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.json", PROTEIN)
    for options in ({"input": str(path)}, {"size": "12"}):
        written = tmp_path / "more.json"
        written.write_text(with_seeds(options, 3))
        given = read_input(written)
        assert given.seeds == 3
        assert given.tokens == (10 if "input" in options else 12)


def test_an_msa_is_told(tmp_path: Path) -> None:
    chain = {"id": "A", "sequence": "MKTAY", "unpairedMsa": ">a\nMKTAY\n>b\nMKTAW\n"}
    chain |= {"pairedMsa": "", "templates": []}
    notices = read_input(_write(tmp_path / "msa.json", {"protein": chain})).notices
    assert notices[0].startswith("it brings an MSA")


def test_what_the_model_ignores_is_said(tmp_path: Path) -> None:
    ligand = {"ligand": {"id": "L", "ccdCodes": ["UNK"]}}
    given = read_input(_write(tmp_path / "a.json", PROTEIN, ligand))
    assert given.tokens == 10
    assert any("ligand chain L is left out" in notice for notice in given.notices)

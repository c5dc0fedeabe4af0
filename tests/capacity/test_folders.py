"""Folders of input files as queues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.capacity.queue.jobs import read_folder, read_jobs
from perfkit.errors import UserError
from tests.support.fold_documents import write_input

pytest.importorskip("alphafold3", reason="inputs are read by the af3 extra")


PROTEIN = {"protein": {"id": "A", "sequence": "MKTAYIAKQR"}}


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
    assert reject.name == "jobs, job 3"
    assert "must contain only letters" in reject.sentence


def test_a_row_of_a_csv_that_names_several_jobs_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text("[{}, {}]")
    (tmp_path / "queue.csv").write_text("name,file\na,jobs.json\n")
    jobs, (reject,) = read_jobs(tmp_path / "queue.csv")
    assert jobs == []
    assert "holds 2 AlphaFold Server jobs: name its folder with --jobs" in reject.reason


def test_a_folder_is_a_queue_and_bad_files_are_rejects(tmp_path: Path) -> None:
    write_input(tmp_path / "good.json", PROTEIN, seeds=(1, 2))
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
    with pytest.raises(UserError, match="holds no input file"):
        read_folder(tmp_path)

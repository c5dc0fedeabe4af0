"""Inputs as workloads: how options reach the reader, and notices the workload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.model import AlphaFold3

pytestmark = pytest.mark.usefixtures("component_cache")


def test_the_molecule_of_fasta_reaches_the_reader_and_another_process(tmp_path: Path) -> None:
    path = tmp_path / "silk.fasta"
    path.write_text(">silk\nGAGAGAGC\n")
    model = AlphaFold3()
    workload = model.workload({"input": str(path), "molecule": "protein"}, {})
    assert workload.source == {"input": str(path), "molecule": "protein"}
    assert (workload.name, workload.size) == ("silk", 8)
    assert workload.notices[0].startswith("protein chain A: no unpaired MSA")
    guessed = model.workload({"input": str(path)}, {})
    assert guessed.notices[0].startswith("record 1 'silk': guessed to be DNA")
    assert guessed.digest != workload.digest


def test_a_job_of_a_server_file_is_a_workload(tmp_path: Path) -> None:
    jobs = [
        {"name": name, "modelSeeds": [], "sequences": [{"proteinChain": {"sequence": sequence}}]}
        for name, sequence in (("One", "MKTAY"), ("Two", "MKTAYIAK"))
    ]
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps(jobs))
    workload = AlphaFold3().workload({"input": str(path), "job": "Two"}, {})
    assert (workload.name, workload.size) == ("Two", 8)
    assert workload.source["job"] == "Two"


def test_what_the_model_ignores_is_a_notice_of_the_workload(tmp_path: Path) -> None:
    document = {
        "dialect": "alphafold3",
        "version": 4,
        "name": "disulfide",
        "modelSeeds": [1, 1],
        "sequences": [{"protein": {"id": "A", "sequence": "GCAKLVCE"}}],
        "bondedAtomPairs": [[["A", 2, "SG"], ["A", 7, "SG"]]],
    }
    path = tmp_path / "input.json"
    path.write_text(json.dumps(document))
    workload = AlphaFold3().workload({"input": str(path)}, {})
    assert workload.fidelity["seeds"] == 1
    assert workload.notices[0] == "model seed 1 is named 2 times and computed once"
    assert workload.notices[2] == (
        "the bond A 2 SG - A 7 SG is ignored: AlphaFold 3 takes no bonds between polymers"
    )


@pytest.mark.parametrize("option", ["job", "molecule"])
def test_how_to_read_an_input_needs_one(option: str) -> None:
    with pytest.raises(UserError, match=f"--{option} says how to read an input"):
        AlphaFold3().workload({option: "1"}, {})
    with pytest.raises(UserError, match=f"--{option} says how to read an input"):
        AlphaFold3().workload({option: "1", "size": 8}, {})

"""AlphaFold 3's workloads: options reach the reader, notices reach the workload."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.model import AlphaFold3

pytestmark = pytest.mark.usefixtures("component_cache")


def test_the_molecule_option_reaches_the_reader_and_the_source(tmp_path: Path) -> None:
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


def test_the_job_option_selects_the_input(tmp_path: Path) -> None:
    jobs = [
        {"name": name, "modelSeeds": [], "sequences": [{"proteinChain": {"sequence": sequence}}]}
        for name, sequence in (("One", "MKTAY"), ("Two", "MKTAYIAK"))
    ]
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps(jobs))
    workload = AlphaFold3().workload({"input": str(path), "job": "Two"}, {})
    assert (workload.name, workload.size) == ("Two", 8)
    assert workload.source["job"] == "Two"


def test_parts_that_the_model_ignores_become_notices(tmp_path: Path) -> None:
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
    assert workload.notices[0] == "model seed 1 is given 2 times and computed once"
    assert workload.notices[2] == (
        "the bond A 2 SG - A 7 SG is ignored: AlphaFold 3 does not use bonds between polymers"
    )


@pytest.mark.parametrize("option", ["job", "molecule"])
def test_options_for_reading_a_file_need_a_file(option: str) -> None:
    with pytest.raises(UserError, match=f"--{option} needs --input"):
        AlphaFold3().workload({option: "1"}, {})
    with pytest.raises(UserError, match=f"--{option} needs --input"):
        AlphaFold3().workload({option: "1", "size": 8}, {})

"""What a command line that names little asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.cli.workload_arguments import default_folder, parse_request
from perfkit.errors import UserError

LOW = {"recycles": 0, "steps": 4, "samples": 1, "seeds": 1}
PRODUCTION = {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}


@pytest.mark.parametrize(
    ("real", "predicts", "more", "fidelity"),
    [
        (True, True, "", PRODUCTION),
        (True, True, "--steps 20", {**PRODUCTION, "steps": 20}),
        (True, True, "--fidelity low", LOW),
        (True, False, "", LOW),
        (False, True, "", LOW),
        (False, True, "--fidelity production", PRODUCTION),
    ],
)
def test_a_prediction_with_real_weights_is_one_of_production(
    tmp_path: Path, real: bool, predicts: bool, more: str, fidelity: dict[str, int]
) -> None:
    pytest.importorskip("alphafold3", reason="the workload needs the af3 extra")
    (tmp_path / "af3.bin").touch()
    weights = ["--model-dir", str(tmp_path)] if real else []
    words = ["--size", "8", *weights, *more.split()]
    request = parse_request("run", "", words, lambda parser: None, predicts=predicts)
    assert request.workload.fidelity == fidelity


BROKEN = {"name": "half \ud800", "file": "caf\udce9.json"}
"""Half of a surrogate pair in JSON, and a file name in Latin-1 as Python reads it."""


@pytest.mark.parametrize("where", BROKEN)
def test_names_that_no_record_can_hold_are_refused(tmp_path: Path, where: str) -> None:
    pytest.importorskip("alphafold3", reason="the workload needs the af3 extra")
    given = {"name": "whole", "file": "whole.json", where: BROKEN[where]}
    document = {
        "name": given["name"],
        "modelSeeds": [1],
        "sequences": [{"protein": {"id": "A", "sequence": "GS"}}],
        "dialect": "alphafold3",
        "version": 1,
    }
    path = tmp_path / given["file"]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"half \\ud800|caf\\udce9") as refused:
        parse_request("run", "", ["--input", str(path)], lambda parser: None)
    str(refused.value).encode()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("run", "ubiquitin"), "run-ubiquitin"),
        (("tune", "af3", "A/B complex"), "tune-af3-AB_complex"),
        # printf 'run-../../escape' | sha256sum
        (("run", "../../escape"), "run-.escape-ca4fb453ba"),
    ],
)
def test_results_go_below_the_current_folder_whatever_the_input_is_called(
    words: tuple[str, ...], name: str
) -> None:
    assert default_folder(*words) == Path("perfkit-results") / name

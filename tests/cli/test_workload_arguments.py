"""What a command line that names little asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cli.workload_arguments import default_folder, parse_request

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

"""One prediction on the real model, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome
from perfkit.records.stages import StageName
from perfkit.records.store import read_records
from tests.support.fold_documents import document

pytest.importorskip("alphafold3", reason="the run needs the af3 extra")

RESIDUES = 12
NAME = f"synthetic-{RESIDUES}-1"
KNOBS = ("bucket=exact", "msa_rows=needed")

PRESET = """
model = "af3"
[knobs]
precision = "float32"
[measured.versions]
jaxlib = "0.0.1"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run of twelve residues and one diffusion step, and its output."""
    out = tmp_path_factory.mktemp("run")
    knobs = [word for knob in KNOBS for word in ("--knob", knob)]
    command = [sys.executable, "-m", "perfkit", "run", "--model", "af3", "--out", str(out)]
    preset = out.with_suffix(".toml")
    preset.write_text(PRESET)
    fidelity = ["--preset", str(preset), "--size", str(RESIDUES), "--steps", "1"]
    ran = subprocess.run(
        [*command, *fidelity, *knobs],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return out, ran.stdout


def test_the_structure_holds_every_residue(finished: tuple[Path, str]) -> None:
    import numpy as np
    from biotite.structure import get_residue_count
    from biotite.structure.io import pdbx

    (path,) = finished[0].glob(f"{NAME}/seed-1_sample-0/*_model.cif")
    atoms = pdbx.get_structure(pdbx.CIFFile.read(path), model=1)
    assert get_residue_count(atoms) == RESIDUES
    assert np.isfinite(atoms.coord).all()


def test_the_first_lines_name_the_package_and_a_preset_of_another_jaxlib(
    finished: tuple[Path, str],
) -> None:
    out, printed = finished
    (record,) = read_records(out)
    assert record.model_package is not None
    package, jaxlib = record.model_package, record.versions["jaxlib"]
    assert package.import_name == "alphafold3"
    lines = printed.splitlines()
    assert lines[0].startswith("af3: ")
    assert f"  package: {package.text}, jaxlib {jaxlib}" in lines[:5]
    (warning,) = [line for line in lines if line.startswith("warning: the preset")]
    assert "was measured with jaxlib 0.0.1, but here is" in warning
    assert f"jaxlib {jaxlib}" in warning


def test_the_confidences_hold_every_token(finished: tuple[Path, str]) -> None:
    (path,) = finished[0].glob(f"{NAME}/seed-1_sample-0/*_sample-0_confidences.json")
    confidences = json.loads(path.read_text())
    (summary,) = finished[0].glob(f"{NAME}/seed-1_sample-0/*_summary_confidences.json")
    assert len(confidences["pae"]) == RESIDUES
    assert len(confidences["token_res_ids"]) == RESIDUES
    assert "ranking_score" in json.loads(summary.read_text())


def _results(out: Path) -> list[Path]:
    """The files of results: neither the log, nor the input, nor the terms of use."""
    (record,) = read_records(out)
    others = ("log", f"{NAME}_data.json", "TERMS_OF_USE.md")
    assert set(others) <= set(record.artifacts)
    return [out / path for name, path in record.artifacts.items() if name not in others]


def test_the_folder_of_the_input_holds_the_prediction_and_nothing_else(
    finished: tuple[Path, str],
) -> None:
    (record,) = read_records(finished[0])
    files = {path for path in (finished[0] / NAME).rglob("*") if path.is_file()}
    assert files == {finished[0] / path for name, path in record.artifacts.items() if name != "log"}
    assert {path.name for path in (finished[0] / NAME).iterdir()} == {
        "seed-1_sample-0",
        f"{NAME}_confidences.json",
        f"{NAME}_data.json",
        f"{NAME}_model.cif",
        f"{NAME}_ranking_scores.csv",
        f"{NAME}_summary_confidences.json",
        "TERMS_OF_USE.md",
    }


def test_every_result_is_labelled_with_synthetic_weights(finished: tuple[Path, str]) -> None:
    out, printed = finished
    (record,) = read_records(out)
    files = _results(out)
    assert {path.suffix for path in files} == {".cif", ".json", ".csv"}
    for path in files:
        assert "synthetic weights" in path.read_text(), path
    assert any("synthetic weights" in notice for notice in record.notices)
    assert "synthetic weights" in printed


LABEL = "below production fidelity (recycles 0 of 10, steps 1 of 200, samples 1 of 5)"


def test_every_result_is_labelled_with_its_fidelity_below_production(
    finished: tuple[Path, str],
) -> None:
    out, printed = finished
    (record,) = read_records(out)
    for path in _results(out):
        assert LABEL in path.read_text(), path
    assert record.notices[-1].startswith(LABEL)
    assert printed.splitlines()[-1] == f"note: {record.notices[-1]}"


def test_another_input_of_the_same_name_does_not_replace_the_prediction(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    out, _ = finished
    before = sorted(out.rglob("*"))
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document(name=NAME)))
    command = [sys.executable, "-m", "perfkit", "run", "--input", str(other), "--out", str(out)]
    ran = subprocess.run(
        [*command, "--force-output-dir"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert f"{out / NAME} holds the prediction of another input" in line
    assert f"'synthetic-{RESIDUES}-1'" in line
    assert sorted(out.rglob("*")) == before


def test_the_record_is_whole(finished: tuple[Path, str]) -> None:
    (record,) = read_records(finished[0])
    assert record.outcome is Outcome.OK
    assert [stage.name for stage in record.stages] == list(StageName)
    knobs = dict(knob.split("=") for knob in KNOBS)
    assert record.configuration.settings == {**knobs, "precision": "float32"}
    assert record.workload.size == RESIDUES
    assert record.finite is not None
    assert record.finite.finite is True
    assert record.compilation is not None
    assert record.compilation.cache == "off"
    assert record.compilation.flops > 0
    assert record.compilation.parts["diffusion_step"] == 1
    # At least 368 million parameters of four bytes are resident.
    assert record.peak_rss_bytes > 368e6 * 4
    for stage in record.stages:
        assert stage.wall_s > 0
        assert 0 <= record.utilisation(stage) <= 1.05

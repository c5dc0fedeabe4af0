"""A tuning of the real AlphaFold 3 through the command line, at a small fidelity and budget.

The budget allows references, stock and the screening of what cuts padding.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ARGUMENTS = [
    "tune",
    "--model",
    "af3",
    "--size",
    "12",
    "--steps",
    "1",
    "--knob",
    "bucket=exact",
    "--knob",
    "msa_rows=needed",
    "--budget",
    "140s",
    "--no-extrapolation",
    "--out",
]
COMPARED = {
    "single_embedding",
    "pair_embedding",
    "denoising_step",
    "atom_positions",
    "plddt_logits",
    "pae_logits",
    "pde_logits",
    "plddt",
    "pae",
}
type Json = dict[str, Any]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a finished tuning, and what it printed."""
    out = tmp_path_factory.mktemp("tune") / "results"
    ended = subprocess.run(
        [sys.executable, "-m", "perfkit", *ARGUMENTS, str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return out, ended.stdout


def _read(folder: Path) -> list[Json]:
    lines = [line for path in folder.glob("records-*") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def records(tuned: tuple[Path, str]) -> list[Json]:
    return _read(tuned[0])


@pytest.fixture(scope="module")
def preset(tuned: tuple[Path, str]) -> Json:
    return tomllib.loads((tuned[0] / "preset.toml").read_text())


def test_stock_agrees_with_the_float32_reference(records: list[Json]) -> None:
    reference = next(one for one in records if one["role"] == "reference")
    assert reference["configuration"]["settings"] == {"precision": "float32"}
    stock = next(one for one in records if one["role"] == "base")
    assert stock["configuration"]["settings"] == {}
    assert stock["outcome"] == "ok"
    assert stock["agreement"]["class"] in ("float32", "bfloat16")
    assert {entry["name"] for entry in stock["agreement"]["quantities"]} == COMPARED


def test_what_was_tried_agrees_and_is_recommended_only_once_confirmed(
    records: list[Json], preset: Json
) -> None:
    assert preset["model"] == "af3"
    chosen = {"bucket": "exact", "msa_rows": "needed"}
    own = [one for one in records if one["configuration"]["settings"] == chosen]
    judged = [one["agreement"]["class"] for one in own if one["agreement"] is not None]
    assert judged
    assert "none" not in judged
    # Six pairs of processes with a stock pass of many seconds do not fit into the budget.
    assert {one["role"] for one in own} <= {"screen", "confirm"}
    assert preset["knobs"] == {}


def test_the_terminal_ends_with_table_preset_and_page(tuned: tuple[Path, str]) -> None:
    out, printed = tuned
    assert "synthetic weights" in printed
    assert "stock" in printed
    assert f"preset: {out / 'preset.toml'}" in printed
    assert f"page: {out / 'report.html'}" in printed


def test_the_page_names_the_input_and_its_weights(tuned: tuple[Path, str]) -> None:
    page = (tuned[0] / "report.html").read_text()
    assert "synthetic-12-1" in page
    assert "the structure means nothing" in page


def test_repeating_the_command_measures_nothing_again(
    tuned: tuple[Path, str], records: list[Json]
) -> None:
    out, _ = tuned
    subprocess.run(
        [sys.executable, "-m", "perfkit", *ARGUMENTS, str(out)], check=True, capture_output=True
    )
    assert len(_read(out)) == len(records)

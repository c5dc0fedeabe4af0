"""A tuning of the real AlphaFold 3 through the command line, at a small fidelity and budget.

The budgets are just enough for the references and the screening of what cuts padding.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

CUT_PADDING = {"bucket": "exact", "msa_rows": "needed"}

ARGUMENTS = [
    *("tune", "--model", "af3", "--size", "12", "--steps", "1", "--no-extrapolation"),
    *(word for name, value in CUT_PADDING.items() for word in ("--knob", f"{name}={value}")),
    "--out",
]

BUDGETS = ("60s", "75s", "100s", "150s", "250s", "500s", "900s")
"""Each call continues where the one before ended. On an idle machine the first measures the
references, the second screens; time that is left would be spent on confirmation."""
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


@dataclass(frozen=True)
class Tuned:
    """A finished tuning.

    Attributes
    ----------
    out
        Folder of its results.
    arguments
        Command line after ``perfkit``.
    printed
        Standard output.
    """

    out: Path
    arguments: list[str]
    printed: str


def _tune(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perfkit", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Tunings with growing budgets, until a candidate was screened."""
    out = tmp_path_factory.mktemp("tune") / "results"
    for budget in BUDGETS:
        arguments = [*ARGUMENTS, str(out), "--budget", budget]
        ended = _tune(arguments)
        if ended.returncode == 0 and "screen" in {one["role"] for one in _read(out)}:
            return Tuned(out, arguments, ended.stdout)
    pytest.fail(f"no candidate was screened:\n{ended.stdout}\n{ended.stderr}")


def _read(folder: Path) -> list[Json]:
    lines = [line for path in folder.glob("records-*") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def records(tuned: Tuned) -> list[Json]:
    return _read(tuned.out)


def test_stock_agrees_with_the_float32_reference(records: list[Json]) -> None:
    reference = next(one for one in records if one["role"] == "reference")
    assert reference["configuration"]["settings"] == {"precision": "float32"}
    stock = next(one for one in records if one["role"] == "base")
    assert stock["configuration"]["settings"] == {}
    assert stock["outcome"] == "ok"
    assert stock["agreement"]["class"] in ("float32", "bfloat16")
    assert {entry["name"] for entry in stock["agreement"]["quantities"]} == COMPARED


def test_the_screened_candidate_agrees_and_only_it_may_be_recommended(
    tuned: Tuned, records: list[Json]
) -> None:
    tried = [one for one in records if one["role"] == "screen"]
    assert CUT_PADDING in [one["configuration"]["settings"] for one in tried]
    assert {one["outcome"] for one in tried} == {"ok"}
    judged = [one["agreement"]["class"] for one in tried if one["agreement"] is not None]
    assert judged
    assert "none" not in judged
    preset = tomllib.loads((tuned.out / "preset.toml").read_text())
    assert preset["model"] == "af3"
    assert preset["knobs"].items() <= CUT_PADDING.items()


def test_the_terminal_ends_with_table_preset_and_page(tuned: Tuned) -> None:
    assert "synthetic weights" in tuned.printed
    assert "stock" in tuned.printed
    assert f"preset: {tuned.out / 'preset.toml'}" in tuned.printed
    assert f"page: {tuned.out / 'report.html'}" in tuned.printed


def test_the_page_names_the_input_and_its_weights(tuned: Tuned) -> None:
    page = (tuned.out / "report.html").read_text()
    assert "synthetic-12-1" in page
    assert "the structure means nothing" in page


def test_repeating_the_command_measures_nothing_again(tuned: Tuned, records: list[Json]) -> None:
    assert _tune(tuned.arguments).returncode == 0
    assert len(_read(tuned.out)) == len(records)

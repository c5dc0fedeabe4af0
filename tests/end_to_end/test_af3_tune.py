"""A tuning of the real AlphaFold 3 through the command line, at a small fidelity and budget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records
from perfkit.tune.preset import load_preset
from perfkit.tune.recommend import measured_at_own_fidelity, recommend

ARGUMENTS = [
    "tune",
    "--model",
    "af3",
    "--size",
    "12",
    "--steps",
    "1",
    "--budget",
    "4m",
    "--no-extrapolation",
    "--out",
]


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


@pytest.fixture(scope="module")
def records(tuned: tuple[Path, str]) -> list[Record]:
    return read_records(tuned[0])


def test_the_answer_of_stock_is_held_against_the_float32_reference(records: list[Record]) -> None:
    stock = next(record for record in records if record.role == "base")
    assert stock.configuration.settings == {}
    assert stock.outcome is Outcome.OK
    assert stock.agreement is not None
    assert stock.agreement.reached in ("float32", "bfloat16")
    assert {entry.name for entry in stock.agreement.quantities} == {
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


def test_the_saved_preset_is_the_recommended_configuration(
    tuned: tuple[Path, str], records: list[Record]
) -> None:
    best = recommend(measured_at_own_fidelity(records)).best
    assert best is not None
    preset = load_preset(tuned[0] / "preset.toml")
    assert preset.model == "af3"
    assert preset.configuration.as_dict() == best.settings


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
    tuned: tuple[Path, str], records: list[Record]
) -> None:
    out, _ = tuned
    subprocess.run(
        [sys.executable, "-m", "perfkit", *ARGUMENTS, str(out)], check=True, capture_output=True
    )
    assert len(read_records(out)) == len(records)

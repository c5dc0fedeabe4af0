"""A tuning of the real AlphaFold 3 through the command line, at a small fidelity and budget.

What must hold is stated here on the plain JSON of the records, without perfkit's own statistics.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import wilcoxon

pytestmark = pytest.mark.alone

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
BLOCKS_LEAST = 6
"""Pairs of processes without which no 95 % interval of a rank test excludes equality: all of five
agree by accident with a probability of 2 / 2**5 = 6 %."""

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


def _confirmed(records: list[Json], digest: str) -> list[float]:
    """Seconds of stock over those of a configuration, one ratio per confirmation block."""
    blocks: dict[str, dict[str, dict[int, float]]] = defaultdict(dict)
    stock = next(one for one in records if not one["configuration"]["settings"])
    for one in records:
        if one["role"] == "confirm":
            passes = [stage for stage in one["stages"] if stage["name"] == "steady"]
            own = {stage["round"]: stage["wall_s"] for stage in passes}
            blocks[one["block"]][one["configuration"]["digest"]] = own
    ratios = []
    for members in blocks.values():
        slow, fast = members.get(stock["configuration"]["digest"], {}), members.get(digest, {})
        common = [slow[number] / fast[number] for number in slow if number in fast]
        if common:
            ratios.append(statistics.geometric_mean(common))
    return ratios


def test_stock_agrees_with_the_float32_reference(records: list[Json]) -> None:
    reference = next(one for one in records if one["role"] == "reference")
    assert reference["configuration"]["settings"] == {"precision": "float32"}
    stock = next(one for one in records if one["role"] == "base")
    assert stock["configuration"]["settings"] == {}
    assert stock["outcome"] == "ok"
    assert stock["agreement"]["class"] in ("float32", "bfloat16")
    assert {entry["name"] for entry in stock["agreement"]["quantities"]} == COMPARED


def test_the_recommended_configuration_is_right_and_surely_faster(
    records: list[Json], preset: Json
) -> None:
    assert preset["model"] == "af3"
    own = [one for one in records if one["configuration"]["settings"] == preset["knobs"]]
    assert own[-1]["outcome"] == "ok"
    judged = [one["agreement"]["class"] for one in own if one["agreement"] is not None]
    assert judged
    assert "none" not in judged
    if preset["knobs"]:
        ratios = _confirmed(records, own[-1]["configuration"]["digest"])
        assert len(ratios) >= BLOCKS_LEAST
        logarithms = [math.log(ratio) for ratio in ratios]
        assert wilcoxon(logarithms, alternative="greater").pvalue < 0.025
        low, high = preset["measured"]["speedup_interval"]
        # The file holds three decimals.
        assert 1.0 < low < statistics.median(ratios) + 0.001
        assert statistics.median(ratios) - 0.001 < high


def test_stock_is_recommended_only_where_nothing_was_faster_in_every_block(
    records: list[Json], preset: Json
) -> None:
    """A loaded machine may leave no time to confirm anything within the budget."""
    right = {
        one["configuration"]["digest"]
        for one in records
        if one["outcome"] == "ok" and one["configuration"]["settings"]
    } - {one["configuration"]["digest"] for one in records if one["outcome"] == "disagrees"}
    ratios = {digest: _confirmed(records, digest) for digest in right}
    faster = {
        digest for digest, own in ratios.items() if len(own) >= BLOCKS_LEAST and min(own) > 1.0
    }
    assert bool(preset["knobs"]) or len(faster) == 0


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

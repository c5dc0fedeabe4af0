"""A tuning of a third model whose stock is known to be wasteful: its gain is confirmed.

What must hold is stated here on the plain JSON of the records, without perfkit's own statistics.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tomllib
from collections import defaultdict
from typing import Any

import pytest
from scipy.stats import wilcoxon

from tests.support.plugin import install

pytest.importorskip("jax", reason="the trials are real")

FASTER = {"padded": "exact"}

ARGUMENTS = ["tune", "--model", "wasteful", "--edge", "32", "--knob", "padded=exact"]

BUDGETS = ("40s", "80s", "160s", "320s")
"""Each call continues where the one before ended, so that a slow machine needs several."""

BLOCKS_LEAST = 6
"""Pairs of processes without which no 95 % interval of a rank test excludes equality: all of five
agree by accident with a probability of 2 / 2**5 = 6 %."""

type Json = dict[str, Any]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Json], Json]:
    """The records and the preset of tunings with growing budgets, until a gain is confirmed."""
    folder = tmp_path_factory.mktemp("tune")
    packages, out = folder / "packages", folder / "results"
    packages.mkdir()
    install(packages, "heat_model:WastefulHeat", "wasteful")
    preset: Json = {"knobs": {}}
    for budget in BUDGETS:
        ended = subprocess.run(
            [sys.executable, "-m", "perfkit", *ARGUMENTS, "--out", str(out), "--budget", budget],
            env={**os.environ, "PYTHONPATH": str(packages)},
            capture_output=True,
            text=True,
            check=False,
        )
        # The exit code is 1 where there was no time to measure stock.
        assert ended.returncode in (0, 1), ended.stdout + ended.stderr
        if ended.returncode == 0:
            preset = tomllib.loads((out / "preset.toml").read_text())
        if preset["knobs"]:
            break
    assert (out / "report.html").exists()
    lines = [line for path in out.glob("records-*") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines], preset


def _ratios(records: list[Json]) -> list[float]:
    """Seconds of stock over those of the faster configuration, one ratio per confirmation block."""
    blocks: dict[str, dict[bool, dict[int, float]]] = defaultdict(dict)
    for one in records:
        if one["role"] == "confirm":
            passes = [stage for stage in one["stages"] if stage["name"] == "steady"]
            own = {stage["round"]: stage["wall_s"] for stage in passes}
            blocks[one["block"]][one["configuration"]["settings"] == FASTER] = own
    ratios = []
    for members in blocks.values():
        slow, fast = members.get(False, {}), members.get(True, {})
        common = [slow[number] / fast[number] for number in slow if number in fast]
        if common:
            # Not the mean: a pass that something else disturbed takes many times as long.
            ratios.append(statistics.median(common))
    return ratios


def _pseudomedian(values: list[float]) -> float:
    """Median of the means of all pairs, which the interval of a signed-rank test is about.

    The median of the values themselves may lie outside where their noise is skewed.
    """
    return statistics.median(
        (first + second) / 2 for first, second in itertools.combinations_with_replacement(values, 2)
    )


def test_the_recommended_configuration_is_right_and_surely_faster(
    tuned: tuple[list[Json], Json],
) -> None:
    records, preset = tuned
    assert preset["model"] == "wasteful"
    assert preset["knobs"] == FASTER
    own = [one for one in records if one["configuration"]["settings"] == FASTER]
    assert own[-1]["outcome"] == "ok"
    judged = [one["agreement"]["class"] for one in own if one["agreement"] is not None]
    assert judged
    assert "none" not in judged


def test_the_gain_is_that_of_at_least_six_pairs_of_fresh_processes(
    tuned: tuple[list[Json], Json],
) -> None:
    records, preset = tuned
    ratios = _ratios(records)
    assert len(ratios) >= BLOCKS_LEAST
    logarithms = [math.log(ratio) for ratio in ratios]
    assert wilcoxon(logarithms, alternative="greater").pvalue < 0.025
    low, high = preset["measured"]["speedup_interval"]
    middle = math.exp(_pseudomedian(logarithms))
    # The file holds three decimals.
    assert 1.0 < low < middle + 0.001
    assert middle - 0.001 < high

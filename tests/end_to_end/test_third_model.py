"""The command line on a model that another package adds: run, tune, fit, calibrate and plan."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.plugin import install

pytest.importorskip("jax", reason="the trials are real")

pytestmark = pytest.mark.alone

MACHINES = """
[[machine]]
name = "here"
cores = {cores}
memory = "8GB"
calibration = "calibration/calibration.toml"
"""


type Perfkit = Callable[[str], str]


@pytest.fixture
def perfkit(tmp_path: Path) -> Perfkit:
    """Run a command with the package installed, and return what it prints."""
    packages = tmp_path / "packages"
    packages.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(install(packages))}

    def run(words: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "perfkit", *words.split()],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run


def test_it_predicts(perfkit: Perfkit, tmp_path: Path) -> None:
    perfkit("run --model heat --edge 16 --steps 1 --passes 1 --out run")
    # One step on a plate of ones keeps the inside and cools the edges by 10 %, the corners twice.
    plate = np.load(tmp_path / "run" / "plate.npy")
    assert plate[8, 8] == pytest.approx(np.tanh(1.0))
    assert plate[0, 8] == pytest.approx(np.tanh(0.9))
    assert plate[0, 0] == pytest.approx(np.tanh(0.81))


def test_it_is_tuned(perfkit: Perfkit, tmp_path: Path) -> None:
    perfkit("tune --model heat --edge 32 --budget 20s --out tuned")
    assert tomllib.loads((tmp_path / "tuned" / "preset.toml").read_text())["model"] == "heat"
    assert (tmp_path / "tuned" / "report.html").exists()


def test_it_is_fitted_calibrated_and_planned(perfkit: Perfkit, tmp_path: Path) -> None:
    perfkit("plan fit --model heat --rounds 2 --out fit")
    fit = json.loads((tmp_path / "fit" / "fit.json").read_text())
    assert fit["model"] == "heat"
    assert (fit["least_size"], fit["largest_size"]) == (64.0, 192.0)
    assert {"step", "rest", "compile"} <= fit["laws"].keys()
    # The compiler's count at the size that is only compiled: a plate of 512 nodes needs at least
    # the plate and the matrix as arguments, in float32.
    compiled = {one["features"]["p"]: one["compiled_bytes"] for one in fit["compiled_exactly"]}
    assert compiled[512.0] >= 2 * 4 * 512**2

    perfkit("calibrate --model heat --rounds 2 --out calibration")
    calibration = (tmp_path / "calibration" / "calibration.toml").read_text()
    assert 'model = "heat"' in calibration

    cores = len(os.sched_getaffinity(0))
    (tmp_path / "machines.toml").write_text(MACHINES.format(cores=cores))
    (tmp_path / "jobs.csv").write_text("name,plate,steps\na,96,40\nb,128,\n")
    perfkit("plan --fit fit/fit.json --jobs jobs.csv --machines machines.toml --out plan")
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "plan" / "plan.csv").open())}
    assert (rows["a"]["heat_steps"], rows["b"]["heat_steps"]) == ("40", "1000")
    assert "What is possible, heat" in (tmp_path / "plan" / "report.html").read_text()

"""Trials of a model that another package adds: measured, calibrated and planned by command line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.plugin import install

pytest.importorskip("jax", reason="the trials are real")

MACHINES = """
[[machine]]
name = "here"
cores = {cores}
memory = "8GB"
calibration = "calibration/calibration.toml"
"""


def test_it_is_measured_calibrated_and_planned(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(install(packages))}

    def perfkit(words: str) -> str:
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

"""The command line on a model that another package adds: run, fit, calibrate and plan."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfkit.knobs.topology import places, sensible_counts
from perfkit.records.store import read_records
from tests.support.plugin import install

pytest.importorskip("jax", reason="the trials are real")

MACHINES = """
[[machine]]
name = "here"
cores = {cores}
memory = "8GB"
calibration = "calibration/calibration.toml"
"""


type Perfkit = Callable[[str], str]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The folder of the installed package."""
    folder = tmp_path / "packages"
    folder.mkdir()
    return install(folder)


@pytest.fixture
def perfkit(tmp_path: Path, packages: Path) -> Perfkit:
    """Run a command with the package installed, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(packages)}

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
    plate = np.load(tmp_path / "run" / "plate-16" / "plate.npy")
    assert plate[8, 8] == pytest.approx(np.tanh(1.0))
    assert plate[0, 8] == pytest.approx(np.tanh(0.9))
    assert plate[0, 0] == pytest.approx(np.tanh(0.81))


def test_several_inputs_have_folders_of_their_own(perfkit: Perfkit, tmp_path: Path) -> None:
    """Two inputs of one name included; a later run replaces only what it is meant to."""
    out = tmp_path / "several"
    (out / "plate-8").mkdir(parents=True)
    (out / "plate-8" / "notes.txt").write_text("of the user")
    perfkit("run --model heat --edges 8,12,8 --passes 0 --out several")
    plates = {path.parent.name: np.load(path).shape for path in out.glob("plate-*/plate.npy")}
    twelve, first, second = sorted(plates)
    assert twelve == "plate-12"
    assert re.fullmatch(r"plate-8_\d{8}_\d{6}(-2)?", first)
    assert re.fullmatch(r"plate-8_\d{8}_\d{6}(-2)?", second)
    assert plates == {twelve: (12, 12), first: (8, 8), second: (8, 8)}
    records = read_records(out)
    assert [record.workload.name for record in records] == ["plate-8", "plate-12", "plate-8"]
    assert records[0].artifacts["plate.npy"] == f"{first}/plate.npy"
    assert any("plate-8 is not empty" in notice for notice in records[0].notices)
    assert not any("is not empty" in notice for notice in records[1].notices)
    perfkit("run --model heat --edge 8 --passes 0 --out several --force-output-dir")
    assert {path.name for path in (out / "plate-8").iterdir()} == {"notes.txt", "plate.npy"}


SIDE_BY_SIDE = """
from pathlib import Path
from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.models import get_model
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.side_by_side.measuring import InstanceCosts, measure_instances
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.progress import SilentProgress
from perfkit.tuning.studies.study_plan import StudyPlan

model, folder, turns = get_model("heat"), Path("instances"), iter([1e9])
workload = model.workload({"edge": 32}, {})
plan = StudyPlan(
    model, Catalogue(model.knobs), workload, Store(folder), 1e9, 1e12, goal=make_goal("throughput")
)
measure_instances(
    LiveRunner(folder, Limits(), lambda stage: None), plan, STOCK, 1, InstanceCosts(1.0, 1.0),
    remaining_s=lambda: next(turns, 0.0), progress=SilentProgress(), cache=folder / "compiled",
)
"""


def test_its_instances_run_side_by_side(tmp_path: Path, packages: Path) -> None:
    """One turn of every number of instances; each instance has its share of the CPUs."""
    finished = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    cpus = len(os.sched_getaffinity(0))
    counts = sensible_counts(places()) if cpus > 1 else ()
    records = read_records(tmp_path / "instances") if counts else []
    assert sorted(record.instances for record in records) == sorted(
        count for count in counts for _ in range(count)
    )
    for record in records:
        assert record.allowed_cpus == cpus // record.instances
        assert [stage.round for stage in record.steady] == [0, 1]
    assert not (tmp_path / "instances" / "compiled").exists()


PRESET = "model = 'heat'\n[knobs]\n[instances]\ncount = 2\ncpus = 1\n"


def test_it_is_fitted_calibrated_and_planned(perfkit: Perfkit, tmp_path: Path) -> None:
    (tmp_path / "preset.toml").write_text(PRESET)
    perfkit(
        "plan fit --model heat --rounds 2 --preset preset.toml --shallow-sizes 192,256 --out fit"
    )
    fit = json.loads((tmp_path / "fit" / "fit.json").read_text())
    assert fit["model"] == "heat"
    assert fit["instance_cpus"] == 1
    assert (fit["least_size"], fit["largest_size"]) == (64.0, 256.0)
    # At 192 nodes, measured at both depths, the error of the shallow passes is known.
    assert (fit["memory_measured_to"], fit["shallow_sizes"]) == (192.0, [256.0])
    assert 0.2 < fit["shallow_corrections"]["step"] < 5
    assert {"step", "rest", "compile"} <= fit["laws"].keys()
    # The compiler's count at the size that is only compiled: a plate of 512 nodes needs at least
    # the plate and the matrix as arguments, in float32.
    compiled = {one["features"]["p"]: one["compiled_bytes"] for one in fit["compiled_exactly"]}
    assert compiled[512.0] >= 2 * 4 * 512**2

    printed = perfkit("calibrate --fit fit/fit.json --rounds 2 --out calibration")
    assert re.search(r"step: \d+\.\d\d times the time of the fit's machine", printed)
    assert "predictions of the fit for this machine are good to within" in printed
    calibration = (tmp_path / "calibration" / "calibration.toml").read_text()
    assert 'model = "heat"' in calibration

    cores = len(os.sched_getaffinity(0))
    (tmp_path / "machines.toml").write_text(MACHINES.format(cores=cores))
    perfkit("plan table --fit fit/fit.json --machines machines.toml --sizes 96,300 --out table")
    small, large = csv.DictReader((tmp_path / "table" / "table.csv").open())
    assert (small["memory_source"], large["memory_source"]) == ("measured law", "compiler")
    assert (small["feasible"], large["feasible"]) == ("True", "True")
    assert float(large["memory_bytes"]) > 2 * 4 * 300**2

    (tmp_path / "jobs.csv").write_text("name,plate,steps\na,96,40\nb,128,\n")
    perfkit("plan --fit fit/fit.json --jobs jobs.csv --machines machines.toml --out plan")
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "plan" / "plan.csv").open())}
    assert (rows["a"]["heat_steps"], rows["b"]["heat_steps"]) == ("40", "1000")
    # The preset was measured in instances of one CPU each.
    assert {row["cpus"] for row in rows.values()} == {"1"}
    assert "What is possible, heat" in (tmp_path / "plan" / "report.html").read_text()

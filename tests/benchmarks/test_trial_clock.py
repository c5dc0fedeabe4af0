"""asv receives every sample of a trial through the clock."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

SAMPLES_S = [2.0, 1.0, 4.0, 3.0, 8.0]

SUITE = f"""
from pathlib import Path
from suite.trial_clock import TrialClock

class Steady:
    number, warmup_time, min_run_count, rounds, repeat = 1, 0, 1, 1, {len(SAMPLES_S)}

    def __init__(self):
        self.timer = TrialClock()

    def setup_cache(self):
        return {SAMPLES_S}

    def time_pass(self, samples_s):
        self.timer.play("pass", samples_s)
"""


def asv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with one commit, a suite of one benchmark and asv's configuration."""
    suite = tmp_path / "suite"
    suite.mkdir()
    shutil.copy(ROOT / "benchmarks" / "trial_clock.py", suite)
    (suite / "__init__.py").touch()
    (suite / "steady.py").write_text(SUITE)
    (tmp_path / "asv.conf.json").write_text(
        json.dumps(
            {
                "version": 1,
                "project": "toy",
                "repo": ".",
                "branches": ["HEAD"],
                "environment_type": "virtualenv",
                "benchmark_dir": "suite",
            }
        )
    )
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    assert asv(tmp_path, "machine", "--yes").returncode == 0
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ("--environment", f"existing:{sys.executable}", "--set-commit-hash", "HEAD")
    return asv(project, "run", *where, "--record-samples", "--show-stderr", *arguments)


def stored(project: Path) -> dict[str, Any]:
    (result,) = [path for path in project.glob("results/*/*.json") if "machine" not in path.name]
    document: dict[str, Any] = json.loads(result.read_text())
    columns = document["results"]["steady.Steady.time_pass"]
    return dict(zip(document["result_columns"], columns, strict=False))


def test_asv_stores_the_samples_as_measured(project: Path) -> None:
    done = run(project)
    assert done.returncode == 0, done.stdout
    (samples,) = stored(project)["samples"]
    assert samples == SAMPLES_S


def test_asv_computes_median_and_quartiles_of_the_samples(project: Path) -> None:
    run(project)
    assert stored(project)["result"] == [3.0]
    assert stored(project)["stats_q_25"] == [2.0]
    assert stored(project)["stats_q_75"] == [4.0]


def test_a_second_round_on_the_same_samples_fails_instead_of_counting_them_twice(
    project: Path,
) -> None:
    done = run(project, "--attribute", "rounds=2")
    assert done.returncode == 2
    assert "these samples have been used" in done.stdout


def test_more_samples_than_were_measured_are_refused(project: Path) -> None:
    done = run(project, "--attribute", "repeat=6")
    assert done.returncode == 2
    assert "only 5 were measured" in done.stdout

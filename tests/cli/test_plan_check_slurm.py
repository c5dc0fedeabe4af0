"""``perfkit plan check`` with the accounts of a real Slurm, for jobs that perfkit did not run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.capacity.check.planned import PlanFile
from tests.cli.conftest import Perfkit
from tests.support.local_slurm import Slurm, local_slurm
from tests.support.plans import GB, planned_row

pytestmark = pytest.mark.slow

COLUMNS = "JobID,JobName,State,Elapsed,MaxRSS"
ARRAY = "perfkit-node-1-abc"
HOLD_S = 4
"""Longer than two samples of the memory."""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm that accounts its jobs and samples their memory every second."""
    with local_slurm(
        tmp_path_factory.mktemp("slurm"), polls_memory=True, accounting=True
    ) as running:
        yield running


def holding(megabytes: int) -> str:
    """A command that holds memory for some seconds."""
    return f"python3 -c \"held = b'x' * ({megabytes} << 20); import time; time.sleep({HOLD_S})\""


def accounts_of(slurm: Slurm, jobs: int) -> str:
    """The accounts, once they have the ends of all jobs: the database lags behind."""
    deadline_s = time.monotonic() + 60
    while True:
        text = slurm.run("sacct", "--parsable2", f"--format={COLUMNS}")
        batches = [line.split("|") for line in text.splitlines() if ".batch|" in line]
        if sum(state != "RUNNING" for _, _, state, *_ in batches) >= jobs:
            return text
        assert time.monotonic() < deadline_s, text
        time.sleep(0.5)


def test_real_accounts_are_held_against_a_plan(
    slurm: Slurm, perfkit_here: Perfkit, tmp_path: Path
) -> None:
    names = ("fits", "too much", "fails", "waits")
    rows = [
        planned_row(name, task=task, array=ARRAY, array_memory_bytes=600 << 20)
        for task, name in enumerate(names, 1)
    ]
    plan = PlanFile.model_validate({"version": 2, "digest": "d", "jobs": rows})
    script = tmp_path / "job.sh"
    cases = f"1) {holding(300)};; 2) {holding(900)};; 3) exit 7;; *) sleep 100;;"
    script.write_text(f"#!/bin/bash\ncase $SLURM_ARRAY_TASK_ID in {cases} esac\n")
    folder = str(tmp_path)
    slurm.run(
        "sbatch", f"--job-name={ARRAY}", "--array=1-4%3", "--mem=600M", "--cpus-per-task=1",
        f"--chdir={folder}", "--output=/dev/null", str(script),
    )  # fmt: skip
    text = accounts_of(slurm, 3)
    slurm.run("scancel", f"--name={ARRAY}")
    work = tmp_path / "work"
    (work / "planned").mkdir(parents=True, exist_ok=True)
    (work / "planned" / "plan.json").write_text(plan.model_dump_json())
    (work / "accounts.txt").write_text(text)
    done = perfkit_here("plan", "check", "planned", "--sacct", "accounts.txt", "--json")
    assert done.returncode == 0, done.stderr + text
    jobs = {job["name"]: job for job in json.loads(done.stdout)["check"]["jobs"]}
    states = {name: job["state"] for name, job in jobs.items()}
    assert states == {
        "fits": "finished",
        "too much": "out of memory",
        "fails": "failed",
        "waits": "running",
    }, text
    fits = jobs["fits"]
    assert HOLD_S <= fits["measured_time_s"] <= HOLD_S + 10
    assert 0.3 * GB < fits["measured_memory_bytes"] < 0.4 * GB

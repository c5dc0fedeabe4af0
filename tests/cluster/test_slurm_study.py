"""Shared studies on a real Slurm with three nodes: workers are lost in every way, no trial is."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from perfkit.cluster.place import JobState, Options, Submission
from perfkit.cluster.slurm_place import SlurmPlace
from perfkit.cluster.study_status import jobs_of, study_status
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_folder
from perfkit.shared_study.leases import Worker
from perfkit.shared_study.study import SharedStudy
from tests.support.browser import CHROMIUM, Browser
from tests.support.local_slurm import CPUS, SPARE, URGENT, Slurm, cpuset_plugins, local_slurm
from tests.support.slurm_sweep import (
    EDGE,
    Perfkit,
    SlurmSweep,
    at_work,
    wait_for_holders,
    wait_until,
)
from tests.support.toy_worker import GREEDY, toy_command, toy_plan, toy_study

pytestmark = pytest.mark.slow

NODES = ("n1", "n2", "n3")
OPTIONS = Options(exclusive=True, workers=3, time_s=600.0)
SLOW_S = 20.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    pytest.importorskip("submitit", reason="submitit is in the slurm extra")
    folder = tmp_path_factory.mktemp("slurm")
    with local_slurm(folder, NODES, polls_memory=True, task_plugins=cpuset_plugins()) as running:
        yield running


@pytest.fixture
def on_cluster(cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """Slurm's commands find the cluster; no job is left at the end."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])
    yield cluster
    cluster.run("scancel", "--me")
    cluster.wait_until_empty(60)


def _submit(study: SharedStudy, options: Options) -> None:
    logs = study.sharing / "logs"
    logs.mkdir(exist_ok=True)
    command = toy_command(study.folder)
    jobs = SlurmPlace().submit(Submission(command, options.workers, logs, options))
    study.notes.note_jobs("slurm", jobs)


def _state(study: SharedStudy, worker: Worker) -> JobState:
    return next(job.state for job in jobs_of(study) if job.id == worker.job)


@pytest.fixture
def perfkit(on_cluster: Slurm, tmp_path: Path) -> Perfkit:
    pytest.importorskip("jax", reason="the trials are real")
    return Perfkit(on_cluster, tmp_path)


def test_every_way_to_lose_a_worker_leaves_each_trial_one_record(
    perfkit: Perfkit, on_cluster: Slurm, tmp_path: Path
) -> None:
    """All victims but those of the controller and the folder are in the middle of a trial."""
    sweep = SlurmSweep(perfkit, candidates=20, workers=3)
    sweep.prepare(lease_s=4.0, most_lost=5)
    perfkit(f"{sweep.words} --no-follow")
    study = sweep.study
    killed, cancelled, requeued = random.Random(0).sample(wait_for_holders(study, 3), 3)
    assert {worker.node for worker in (killed, cancelled, requeued)} == set(NODES)

    os.kill(killed.pid, signal.SIGKILL)
    on_cluster.run("scancel", str(cancelled.job))
    wait_until(lambda: _state(study, cancelled) is JobState.CANCELLED)
    wait_until(lambda: _state(study, killed) is JobState.FAILED)

    on_cluster.restart_controller()
    # Whoever comes back starts new workers; those that run are not disturbed.
    wait_until(lambda: perfkit.run("sinfo", "--noheader").returncode == 0)
    on_cluster.run("scontrol", "requeue", str(requeued.job))
    assert sweep.submit_script()

    # One worker hangs until its time limit, which Slurm looks at twice a minute. Meanwhile the
    # shared folder does not answer for longer than several leases.
    hanging, signalled = wait_for_holders(study, 2)[:2]
    os.kill(hanging.pid, signal.SIGSTOP)
    on_cluster.run("scontrol", "update", f"JobId={hanging.job}", "EndTime=now+1")
    sweep.stop_folder()
    time.sleep(SLOW_S)
    sweep.let_folder_go_on()
    # Slurm sends this signal before a time limit.
    on_cluster.run("scancel", "--signal=USR2", str(signalled.job))
    wait_until(lambda: _state(study, hanging) is JobState.TIME_LIMIT, 90)

    # The same command follows the study to its end, and starts new workers if none is left.
    shown = perfkit(sweep.words)
    assert "sweep of 20 units: 0 queued, 0 running, 20 done, 0 failed" in shown
    assert sweep.faults() == []
    assert sweep.attempts >= 23
    records = sweep.records()
    assert [record.role for record in records].count(Role.REFERENCE) == 1
    assert len({record.machine.node for record in records}) > 1
    assert {record.study for record in records} == {study.plan.study}
    # A worker has all CPUs of its node, although Slurm counts it as a task of a single one.
    assert {record.allowed_cpus for record in records} == {CPUS}
    states = re.findall(r"padded=\d+\s*│\s*(\w+)\s*│\s*n\d", perfkit("status out"))
    assert states == ["done"] * 20
    page = tmp_path / "out" / "report.html"
    assert sweep.wrong_rows(page.read_text()) == []
    if CHROMIUM is not None:
        with Browser(tmp_path / "profile") as browser:
            browser.open(page)
            assert browser.errors == []
            assert browser.evaluate(f"document.body.innerText.includes('padded={EDGE + 20}')")


def test_the_status_reports_why_slurm_ended_each_worker(on_cluster: Slurm, tmp_path: Path) -> None:
    """One exceeds its memory, one is preempted, and one is lost with its node."""
    study = toy_study(tmp_path, toy_plan([300.0] * 3, lease_s=60.0))
    passed_on = {"mem": "600M", "no-requeue": None}
    _submit(study, replace(OPTIONS, partition=SPARE, passed_on=passed_on))
    wait_until(lambda: len(_begun(tmp_path)) == 3)
    greedy, preempted, lost = at_work(study)
    ends = {
        greedy: JobState.OUT_OF_MEMORY,
        preempted: JobState.PREEMPTED,
        lost: JobState.NODE_FAILED,
    }
    (tmp_path / GREEDY).write_text(str(greedy.pid))
    on_cluster.run(
        "sbatch", f"--partition={URGENT}", f"--nodelist={preempted.node}", "--exclusive",
        "--time=1", f"--output={os.devnull}", "--wrap=true",
    )  # fmt: skip
    on_cluster.lose_node(str(lost.node))
    os.kill(lost.pid, signal.SIGKILL)
    try:
        wait_until(lambda: {worker: _state(study, worker) for worker in ends} == ends)
        why = {unit.why for unit in study_status(study, jobs_of(study)).units}
    finally:
        on_cluster.restore_node(str(lost.node))
    # Before Slurm ends a preempted job, it asks its worker to end, which gives its unit back.
    assert {reason.partition(" (")[0] for reason in why} == {
        f"its worker on {greedy.node} was out of memory",
        f"given back by {preempted.node}: ended by a signal; its job was preempted",
        f"its worker on {lost.node} was lost with its node",
    }


def _begun(folder: Path) -> list[str]:
    path = folder / "begun"
    return path.read_text().splitlines() if path.exists() else []


def test_the_workers_of_a_script_and_their_trials_stay_on_the_cpus_that_slurm_gave_them(
    perfkit: Perfkit, tmp_path: Path
) -> None:
    """Two workers of one CPU each share one node of two CPUs, and the inputs of a run."""
    words = "run --model heat --edges 8,12,8,12 --passes 0 --out out --on slurm --cpus-per-worker 1"
    perfkit(f"{words} --array-limit 2 --script")
    script = str(tmp_path / "out" / "sharing" / "submit.sh")
    assert perfkit.run("sh", script, "--mem=2000M", "--nodelist=n1").returncode == 0
    study = SharedStudy(tmp_path / "out")
    granted: dict[int, set[int]] = {}
    used: dict[int, set[int]] = defaultdict(set)

    def is_done() -> bool:
        for worker, end in study.notes.workers():
            with suppress(psutil.Error):
                process = psutil.Process(worker.pid)
                if end is None:
                    granted[worker.pid] = _cpus(process.environ()["SLURM_CPU_BIND_LIST"])
                for each in (process, *process.children(recursive=True)):
                    used[worker.pid] |= set(each.cpu_affinity())
        return not study.open_units()

    wait_until(is_done, 90)
    assert len(granted) == 2
    assert [len(cpus) for cpus in granted.values()] == [1, 1]
    assert set.isdisjoint(*granted.values())
    assert used == granted
    assert Counter(record.workload.name for record in study.records()) == Counter(
        {"plate-8": 2, "plate-12": 2}
    )
    assert {record.outcome for record in study.records()} == {Outcome.OK}
    assert {record.allowed_cpus for record in study.records()} == {1}
    assert len(list((tmp_path / "out").glob("plate-*/plate.npy"))) == 4
    # Slurm knows the jobs of the script, and the same command prints what it finds.
    assert [job.id.partition("_")[2] for job in jobs_of(study)] == ["1", "2"]
    assert perfkit(words).count("outcome ok") == 4


def _cpus(mask: str) -> set[int]:
    """The CPUs of a mask in hexadecimal."""
    return {cpu for cpu in range(int(mask, 16).bit_length()) if int(mask, 16) >> cpu & 1}


def test_a_tuning_and_a_fit_run_on_slurm(perfkit: Perfkit, tmp_path: Path) -> None:
    """Two workers share the search of the tuning; a third one makes the fit."""
    (entry_points,) = tmp_path.glob("packages/*/entry_points.txt")
    entry_points.write_text(entry_points.read_text() + "wasteful = heat_model:WastefulHeat\n")
    tune = "tune --model wasteful --edge 32 --knob padded=exact --budget 60s --no-extrapolation "
    tune += "--cold --out tuned --on slurm --exclusive --array-limit 2 --time 9m"
    perfkit(f"{tune} --no-follow")
    fit = "plan fit --model heat --rounds 2 --out fitted --on slurm --exclusive --time 9m"
    perfkit(f"{fit} --no-follow")
    tuned, fitted = SharedStudy(tmp_path / "tuned"), SharedStudy(tmp_path / "fitted")
    wait_until(lambda: not tuned.open_units() and not fitted.open_units(), 240)

    steps = Counter(str(unit.label).split()[0] for unit in tuned.found_units())
    # Both depths have a reference, and the one change is screened.
    assert steps["reference"] == 2
    assert steps["screen"] >= 1
    blocks: dict[str | None, list[Record]] = defaultdict(list)
    for record in tuned.records():
        blocks[record.block].append(record)
    assert all(len({one.machine.node for one in own}) == 1 for own in blocks.values())
    assert len({record.machine.node for record in tuned.records()}) == 2
    for own in blocks.values():
        if own[0].role is not Role.REFERENCE:
            assert {not one.configuration.settings for one in own} == {True, False}
    assert (tmp_path / "tuned" / "report.html").exists()
    # The same command finds the tuning finished, and names what it left.
    assert "written: tuned/report.html" in perfkit(tune)
    assert "at least one worker was at work for" in perfkit("status tuned")

    assert "written: fitted/fit.json" in perfkit(fit)
    nodes = {record.machine.node for record in read_folder(tmp_path / "fitted").records}
    assert len(nodes) == 1
    assert nodes < set(NODES)

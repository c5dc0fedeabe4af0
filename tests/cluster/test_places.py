"""Places: workers are started, found again, and ended; Slurm's states are told apart."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.cluster.array_script import write_array_script
from perfkit.cluster.local_place import LocalPlace
from perfkit.cluster.place import Job, JobState, Options, Place, Submission
from perfkit.cluster.places import make_place
from perfkit.cluster.slurm_logs import explained
from perfkit.cluster.slurm_place import SlurmPlace, check_slurm_options
from perfkit.cluster.slurm_states import slurm_jobs
from perfkit.cluster.start_worker import granted_cpus
from perfkit.cluster.study_status import UnitState, jobs_of, study_status
from perfkit.errors import UserError
from perfkit.shared_study.leases import Silence, Worker
from perfkit.shared_study.notes import Notes
from perfkit.shared_study.study import SharedStudy
from tests.support.toy_worker import toy_command, toy_plan, toy_study

FOLDER = "study $(touch canary) é; touch canary"


def _submit(place: Place, study: SharedStudy, workers: int) -> list[str]:
    logs = study.sharing / "logs"
    logs.mkdir(exist_ok=True)
    options = Options(cpus=1, workers=workers)
    return place.submit(Submission(toy_command(study.folder), workers, logs, options))


def _wait_until_done(study: SharedStudy, limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while study.open_units():
        assert time.monotonic() < deadline_s, [
            path.read_bytes() for path in (study.sharing / "logs").iterdir()
        ]
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["local", "submitit"])
def test_a_place_runs_a_study(tmp_path: Path, name: str) -> None:
    if name == "submitit":
        pytest.importorskip("submitit", reason="submitit is in the slurm extra")
    place: Place = LocalPlace() if name == "local" else SlurmPlace("local")
    (tmp_path / FOLDER).mkdir()
    study = toy_study(tmp_path / FOLDER, toy_plan([0.05] * 6))
    jobs = _submit(place, study, 2)
    assert len(set(jobs)) == 2
    _wait_until_done(study)
    assert len(study.records()) == 6
    assert len((study.folder / "begun").read_text().splitlines()) == 6
    assert list(tmp_path.rglob("canary")) == []


def test_local_workers_are_found_again_and_cancelled(tmp_path: Path) -> None:
    place = make_place("local")
    study = toy_study(tmp_path, toy_plan([60.0]))
    jobs = _submit(place, study, 1)
    study.notes.note_jobs("local", jobs)
    deadline_s = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    (job,) = jobs_of(SharedStudy(tmp_path))
    assert job.state is JobState.RUNNING
    status = study_status(study, [job])
    assert status.sentence == "toy of 1 units: 0 queued, 1 running, 0 done, 0 failed"
    place.cancel(jobs)
    while place.jobs(jobs)[0].state is JobState.RUNNING:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    status = study_status(study, place.jobs(jobs))
    assert status.units[0].state is UnitState.QUEUED
    assert status.units[0].why.endswith(": ended by a signal")
    (ending,) = status.endings
    assert ending.endswith(" ended: ended by a signal")
    assert not status.has_workers


def test_a_process_id_that_is_used_again_is_no_job(tmp_path: Path) -> None:
    host = socket.gethostname()
    jobs = [f"{host}:{os.getpid()}-1", f"{host}:x", ""]
    assert [job.state for job in LocalPlace().jobs(jobs)] == [
        JobState.ENDED,
        JobState.ENDED,
        JobState.UNKNOWN,
    ]
    (job,) = LocalPlace().jobs(["elsewhere:1-1"])
    assert job == Job("elsewhere:1-1", JobState.UNKNOWN, "ask on elsewhere")


def _slurm_says(squeue: str | None, sacct: str | None) -> list[tuple[JobState, str]]:
    answers = {"squeue": squeue, "sacct": sacct}

    def run(command: Sequence[str]) -> str | None:
        return answers[command[0]]

    return [(job.state, job.detail) for job in slurm_jobs(["7_0", "7_1"], run)]


def test_the_queue_tells_states_apart_without_accounting() -> None:
    squeue = "7_0|PENDING|Resources|\n7_1|OUT_OF_MEMORY|OutOfMemory|n1\n9_0|RUNNING|None|n2\n"
    assert _slurm_says(squeue, None) == [
        (JobState.QUEUED, "pending, Resources"),
        (JobState.OUT_OF_MEMORY, "out of memory, OutOfMemory, on n1"),
    ]
    squeue = "7_0|TIMEOUT|TimeLimit|n1\n7_1|NODE_FAIL|NodeDown|n1\n"
    states = [state for state, _ in _slurm_says(squeue, None)]
    assert states == [JobState.TIME_LIMIT, JobState.NODE_FAILED]


def test_the_accounting_knows_jobs_that_have_left_the_queue() -> None:
    sacct = "7_0|CANCELLED by 1000|0:15|n1\n7_1|PREEMPTED|0:0|n2\n"
    assert _slurm_says("", sacct) == [
        (JobState.CANCELLED, "cancelled, 0:15, on n1"),
        (JobState.PREEMPTED, "preempted, on n2"),
    ]


@pytest.mark.parametrize("name", ["7_0_0_log.err", "7-0.log"])
@pytest.mark.parametrize(
    ("line", "state"),
    [
        (
            "slurmstepd-n2: error: Detected 1 oom-kill event(s) in StepId=3.0. Some of your "
            "processes may have been killed by the cgroup out-of-memory handler.",
            JobState.OUT_OF_MEMORY,
        ),
        (
            "slurmstepd: error: StepId=3.0 exceeded memory limit (879038464 > 629145600), being "
            "killed",
            JobState.OUT_OF_MEMORY,
        ),
        ("srun: error: n2: task 0: Out Of Memory", JobState.OUT_OF_MEMORY),
        ("srun: error: n2: task 0: Killed", JobState.FAILED),
        ("unit-1: crashed, slurmstepd: out of memory", JobState.FAILED),
    ],
)
def test_the_log_of_a_failed_job_says_that_memory_was_exceeded(
    tmp_path: Path, name: str, line: str, state: JobState
) -> None:
    (tmp_path / name).write_text(f"a worker begins\n{line}\n")
    failed = Job("7_0", JobState.FAILED, "failed, NonZeroExitCode, on n2")
    assert explained(failed, tmp_path) == replace(failed, state=state)
    cancelled = replace(failed, state=JobState.CANCELLED)
    assert explained(cancelled, tmp_path) == cancelled
    assert explained(failed, tmp_path / "none") == failed


def test_silence_of_slurm_is_not_the_end_of_a_job() -> None:
    assert _slurm_says(None, None) == [(JobState.UNKNOWN, "Slurm does not answer")] * 2
    assert (
        _slurm_says("", "garbage\n|||\n") == [(JobState.ENDED, "Slurm no longer knows the job")] * 2
    )


def test_a_unit_says_why_slurm_ended_its_worker(tmp_path: Path) -> None:
    study = toy_study(tmp_path, toy_plan([0.0]))
    worker = Worker("a", "host", 1, node="n1", job="7_0")
    assert study.claim(study.plan.units[0], worker, Silence(lambda: 0.0)) is not None
    job = Job("7_0", JobState.TIME_LIMIT, "timeout, TimeLimit, on n1")
    (unit,) = study_status(study, [job]).units
    assert (unit.state, unit.why) == (
        UnitState.QUEUED,
        "its worker on n1 was over its time limit (timeout, TimeLimit, on n1)",
    )


def test_a_unit_of_a_requeued_worker_is_queued_at_once(tmp_path: Path) -> None:
    """Its job waits, or runs again as another worker, long before its lease expires."""
    study = toy_study(tmp_path, toy_plan([0.0], lease_s=1000.0))
    first = Worker("a", "host", 1, node="n1", job="7_0", begin_s=100.0)
    study.notes.enter(first)
    assert study.claim(study.plan.units[0], first, Silence(lambda: 0.0)) is not None

    def why(state: JobState) -> str:
        (unit,) = study_status(study, [Job("7_0", state)]).units
        return unit.why if unit.state is UnitState.QUEUED else unit.state

    assert why(JobState.RUNNING) == UnitState.RUNNING
    assert why(JobState.QUEUED) == "its worker on n1 was requeued"
    assert study_status(study, []).busy == ()
    second = Worker("b", "host", 2, node="n2", job="7_0", begin_s=200.0, busy="it is busy")
    study.notes.enter(second)
    assert why(JobState.RUNNING) == "its worker on n1 was requeued"
    assert study_status(study, []).busy == ("on n2, it is busy",)


@pytest.mark.parametrize(
    ("variables", "allowed", "expected"),
    [
        ({}, 8, 8),
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "4"}, 8, 2),
        ({"SLURM_CPUS_ON_NODE": "4"}, 8, 4),
        ({"SLURM_CPUS_PER_TASK": "16"}, 8, 8),
        ({"SLURM_CPUS_PER_TASK": "x", "SLURM_CPUS_ON_NODE": "-1"}, 8, 8),
    ],
)
def test_a_worker_stays_within_the_granted_cpus(
    variables: dict[str, str], allowed: int, expected: int
) -> None:
    assert granted_cpus(variables, allowed) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), "give --cpus-per-worker N, or --exclusive"),
        (Options(cpus=1, passed_on={"-x": None}), "not '-x'"),
        (Options(cpus=1, passed_on={"account": "a\n#SBATCH --x"}), "control characters"),
        (Options(cpus=1, partition="a\nb"), "control characters"),
    ],
)
def test_options_that_make_no_job_are_refused(options: Options, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        check_slurm_options(options)


def _stand_in(folder: Path, name: str) -> None:
    """A program that answers as ``sbatch`` does, and shows its folder and its words as JSON."""
    folder.mkdir(exist_ok=True)
    show = "import json, os, sys; print(json.dumps([os.getcwd(), *sys.argv[1:]]), file=sys.stderr)"
    show += '; print("17;lab")'
    (folder / name).write_text(f"#!/bin/sh\nexec {sys.executable} -c '{show}' \"$@\"\n")
    (folder / name).chmod(0o755)


def _words(script: Path, *given: str, programs: Path) -> list[str]:
    done = subprocess.run(
        ["sh", str(script), *given],
        cwd=script.parent,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CDPATH": "/"},
        capture_output=True,
        text=True,
        check=True,
    )
    words: list[str] = json.loads(done.stderr)
    return words


@pytest.mark.parametrize(
    "python",
    [
        sys.executable,
        "/opt/it's $(touch canary)/`touch canary`; touch canary/python",
        "/-x/line\nbreak touch canary\n/~root/*/${HOME}/#python",
        'back\\slash\\/"quoted"/!x/&/|/蛋白質',
    ],
)
def test_the_script_submits_one_array_with_words_that_no_shell_interprets(
    tmp_path: Path, python: str
) -> None:
    folder = tmp_path / FOLDER / "sharing"
    folder.mkdir(parents=True)
    wild = {"comment": f"$(touch canary) `touch canary` '\" {python!r}", "hold": None}
    options = Options("-p x; touch canary", 5430.0, cpus=3, workers=7, passed_on=wild)
    script = write_array_script(folder, python, "tests.none", options)
    programs = tmp_path / "bin"
    for name in ("sbatch", "srun"):
        _stand_in(programs, name)
    cwd, *words = _words(script, "--account=a b", programs=programs)
    assert cwd == str(folder)
    assert {
        "--array=1-7",
        "--time=91",
        "--cpus-per-task=3",
        "--partition=-p x; touch canary",
        f"--comment={wild['comment']}",
        "--hold",
    } <= set(words)
    assert words[-2:] == ["--account=a b", "worker.sh"]
    # Whoever comes back finds the jobs of the script, as those of a submission.
    assert Notes(folder).jobs() == [("slurm", [f"17_{task}" for task in range(1, 8)])]
    _, *command = _words(folder / "worker.sh", programs=programs)
    assert command == [
        "--cpus-per-task=3",
        *(python, "-P", "-m", "perfkit.cluster.start_worker"),
        *(python, "-P", "-m", "tests.none", ".."),
    ]
    assert list(tmp_path.rglob("canary")) == []
    if shutil.which("shellcheck") is not None:
        for name in ("submit.sh", "worker.sh"):
            checked = subprocess.run(
                ["shellcheck", "--shell=sh", "--enable=all", str(folder / name)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert checked.stdout == ""


def test_a_folder_whose_name_slurm_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the name holds '%'; give another folder with --out"):
        write_array_script(tmp_path / "50%j", sys.executable, "tests.none", Options(cpus=1))

"""Studies of the real models that receive an interrupt or a hang-up, or are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perfkit.records.journal import PATTERN
from perfkit.records.schema import Outcome
from perfkit.records.store import Store, read_records

pytestmark = pytest.mark.long

ARGUMENTS = ["tune", "--model", "af3", "--size", "8", "--steps", "1", "--no-extrapolation", "--out"]


type Start = Callable[..., subprocess.Popen[str]]

SWEEP = ["sweep", "--model", "gencast", "--resolution", "10", "--mesh", "1", "--rounds", "500"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ``perfkit`` with arguments; kills processes that a failed test leaves behind."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "perfkit", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()


def _workers(pid: int) -> list[int]:
    """The workers among the children of a process; another child is git, for the commit."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed if "perfkit.trial.worker" in _command(child)]


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _wait_until(condition: Callable[[], bool], seconds: float = 400.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert condition()


def test_ctrl_c_pressed_twice_keeps_valid_records_and_leaves_no_process(
    start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    tuning = start(*ARGUMENTS, str(out))
    _wait_until(lambda: len(_workers(tuning.pid)) == 1)
    workers = _workers(tuning.pid)
    tuning.send_signal(signal.SIGINT)
    tuning.send_signal(signal.SIGINT)
    time.sleep(0.01)
    tuning.send_signal(signal.SIGINT)
    _, errors = tuning.communicate(timeout=60)
    assert tuning.returncode == 130, errors
    assert "Traceback" not in errors
    assert [record.outcome for record in read_records(out)] == [Outcome.INTERRUPTED]
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()


def _passes_on_disk(folder: Path) -> int:
    """Timed passes in the journals of the folder; one trial keeps a journal."""
    lines = [line for path in folder.glob(PATTERN) for line in path.read_text().splitlines()]
    stages = [json.loads(line).get("stage", {}) for line in lines if line.startswith('{"stage"')]
    return sum(stage["name"] == "steady" for stage in stages)


def test_six_requests_to_end_are_answered_without_a_traceback(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf", reason="the sweep runs the gencast extra")
    out = tmp_path / "results"
    sweep = start(*SWEEP, "--out", str(out))
    _wait_until(lambda: _passes_on_disk(out) >= 1)
    # A closed terminal is among them. The pauses let them arrive in every phase of the shutdown.
    for number in (signal.SIGHUP, *[signal.SIGINT] * 4, signal.SIGTERM):
        sweep.send_signal(number)
        time.sleep(0.15)
    _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, errors
    assert "Traceback" not in errors
    records = [record for record in read_records(out) if record.steady]
    assert [record.outcome for record in records] == [Outcome.INTERRUPTED]


def test_passes_survive_a_kill_of_perfkit_itself(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf", reason="the sweep runs the gencast extra")
    out = tmp_path / "results"
    sweep = start(*SWEEP, "--out", str(out))
    _wait_until(lambda: _passes_on_disk(out) >= 2)
    (worker,) = _workers(sweep.pid)
    sweep.kill()
    sweep.communicate()
    made = _passes_on_disk(out)
    _wait_until(lambda: not Path(f"/proc/{worker}").exists())
    for records in (read_records(out), Store(out).records(), Store(out).records()):
        (killed,) = [record for record in records if record.outcome is Outcome.INTERRUPTED]
        assert [stage.round for stage in killed.steady] == list(range(made))
        assert killed.reason.startswith("perfkit was killed during the trial")
        assert killed.study is not None
        assert len({record.id for record in records}) == len(records) == 2
    assert list(out.glob(PATTERN)) == []

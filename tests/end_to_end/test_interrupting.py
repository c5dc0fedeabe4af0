"""Ctrl-C at a tuning of the real model, and again while it cleans up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from perfkit.records.schema import Outcome
from perfkit.records.store import read_records

ARGUMENTS = ["tune", "--model", "af3", "--size", "8", "--steps", "1", "--no-extrapolation", "--out"]


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(number) for number in listed.split()]


def _wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert condition()


def test_ctrl_c_pressed_twice_keeps_valid_records_and_leaves_no_process(tmp_path: Path) -> None:
    out = tmp_path / "results"
    tuning = subprocess.Popen(
        [sys.executable, "-m", "perfkit", *ARGUMENTS, str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The reference and stock start side by side.
    _wait_until(lambda: len(_children(tuning.pid)) == 2)
    workers = _children(tuning.pid)
    tuning.send_signal(signal.SIGINT)
    tuning.send_signal(signal.SIGINT)
    time.sleep(0.01)
    tuning.send_signal(signal.SIGINT)
    _, said = tuning.communicate(timeout=60)
    assert tuning.returncode == 130, said
    assert "Traceback" not in said
    assert {record.outcome for record in read_records(out)} == {Outcome.INTERRUPTED}
    assert len(read_records(out)) == 2
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()

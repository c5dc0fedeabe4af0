"""Suspended processes, and a clock that is set: times are right, or thrown away and repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.trial.conditions.clock import ClockWatch
from perfkit.trial.messages import Event, EventKind
from perfkit.trial.progress import TrialProgress

ROOT = Path(__file__).parents[2]

STOP_S = 2.0

PARENT = """
import sys
from pathlib import Path
from perfkit.knobs.configuration import STOCK
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialRequest
from tests.support.three_numbers import start_three_numbers, three_numbers
request = TrialRequest(three_numbers(pass_s=0.5), STOCK, Path(sys.argv[1]))
trial = TrialProcess(request, start_child=start_three_numbers)
trial.on_stage = lambda stage: print(stage, trial.pid, flush=True)
print(run_trial(trial, 2).model_dump_json())
"""


@pytest.mark.slow
def test_a_pass_during_which_everything_was_suspended_is_repeated(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="the worker of this trial runs JAX")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    worker = next(int(line.split()[1]) for line in parent.stdout if line.startswith("steady"))
    for pid in (parent.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STOP_S)
    for pid in (worker, parent.pid):
        os.kill(pid, signal.SIGCONT)
    record = Record.model_validate_json(parent.communicate(timeout=60)[0].splitlines()[-1])
    assert record.outcome is Outcome.OK
    assert [stage.round for stage in record.steady] == [0, 1]
    assert max(stage.wall_s for stage in record.steady) < STOP_S
    (dropped,) = record.disturbed_passes
    assert dropped.round == 0
    assert dropped.wall_s > STOP_S
    assert "stopped by a signal" in dropped.reason


class Clock:
    """A clock that a test sets."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_a_clock_that_was_set_back_is_said_and_changes_no_duration() -> None:
    wall, steady = Clock(1e9), Clock(50.0)
    progress = TrialProgress(clock=ClockWatch(wall, steady))
    begin_s = progress.begin_s
    wall.now_s += 60.0 - 3600.0
    steady.now_s += 60.0
    counters = dict.fromkeys(
        ("minor_faults", "major_faults", "voluntary_switches", "involuntary_switches"), 0
    )
    data = {"name": "steady", "begin_s": begin_s, "end_s": begin_s + 60.0, "continued": 0}
    data |= {"user_s": 60.0, "system_s": 0.0, "suspended_s": 0.0, "peak_rss_bytes": 1, **counters}
    progress.take(Event(EventKind.STAGE, data))
    assert progress.stages[0].wall_s == pytest.approx(60.0)
    assert progress.notices() == [
        "the clock of the machine was set back by 1 h during the trial: durations are those "
        "of another clock, but records may be out of order"
    ]


@pytest.mark.parametrize(
    ("wall_s", "steady_s"),
    # A time server corrects a fast clock by half a thousandth; the machine slept, and both count.
    [(3600.0 * 0.9995, 3600.0), (8 * 3600.0, 8 * 3600.0), (0.0, 0.0)],
)
def test_a_clock_that_is_corrected_gradually_is_not_mentioned(
    wall_s: float, steady_s: float
) -> None:
    wall, steady = Clock(1e9), Clock(50.0)
    watch = ClockWatch(wall, steady)
    wall.now_s += wall_s
    steady.now_s += steady_s
    assert watch.sentence() is None

"""Trials that end badly: each leaves a record that says why, never a traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.knobs import allocators
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.knob import Layer
from perfkit.models.base import Workload
from perfkit.records.schema import Outcome
from perfkit.trial.child import ChildProcess, TimeIsUpError
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.limits import Limits
from perfkit.trial.messages import COMPILE_STAGE, Event, TrialSpec

pytest.importorskip("alphafold3", reason="trials run the af3 extra")


@pytest.fixture(scope="module")
def workload() -> Workload:
    from perfkit.models import get_model

    return get_model("af3").workload({"size": 8}, {"steps": 1})


def _trial(
    workload: Workload,
    folder: Path,
    configuration: Configuration = STOCK,
    limits: Limits | None = None,
) -> TrialProcess:
    return TrialProcess(workload, configuration, folder, limits)


def _at_stage(trial: TrialProcess, name: str, act: Callable[[], None]) -> None:
    """Act, on another thread's behalf, as soon as the child has entered a stage."""

    def entered(stage: str) -> None:
        if stage == name:
            act()

    trial.on_stage = entered


def _pid(trial: TrialProcess) -> int:
    assert trial._child is not None
    return trial._child.pid


def test_a_trial_over_its_time_limit_ends_as_timeout(workload: Workload, tmp_path: Path) -> None:
    record = run_trial(_trial(workload, tmp_path, limits=Limits(time_s=1.5)), 1)
    assert record.outcome is Outcome.TIMEOUT
    assert record.reason.startswith("not done after 1.5 s, in stage")
    assert record.steady == []


def test_a_trial_over_its_memory_limit_ends_as_out_of_memory(
    workload: Workload, tmp_path: Path
) -> None:
    record = run_trial(_trial(workload, tmp_path, limits=Limits(memory_bytes=200_000_000)), 1)
    assert record.outcome is Outcome.OUT_OF_MEMORY
    assert record.reason.endswith("GB resident, the limit is 0.2 GB")
    assert record.peak_rss_bytes > 200_000_000


@pytest.mark.parametrize(
    ("number", "outcome", "told"),
    [
        (signal.SIGKILL, Outcome.CRASHED, "killed by signal 9; nothing shows that memory ran out"),
        (signal.SIGSEGV, Outcome.CRASHED, "died of SIGSEGV"),
    ],
)
def test_a_killed_worker_is_a_record(
    workload: Workload, tmp_path: Path, number: signal.Signals, outcome: Outcome, told: str
) -> None:
    trial = _trial(workload, tmp_path)
    _at_stage(trial, "import", lambda: os.kill(_pid(trial), number))
    record = run_trial(trial, 1)
    assert record.outcome is outcome
    assert told in record.reason
    assert (tmp_path / record.artifacts["log"]).exists()


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("xla_no_such_versions", "in", "XLA does not know a flag: --xla_no_such_versions=in"),
        ("xla_cpu_use_onednn", "maybe", "value maybe for flag xla_cpu_use_onednn"),
        ("xla_cpu_scheduler_type", "x", "does not take a flag's value: --xla_cpu_scheduler_type=x"),
    ],
)
def test_a_flag_that_xla_refuses_is_named(
    workload: Workload, tmp_path: Path, flag: str, value: str, told: str
) -> None:
    configuration = Configuration(((flag, value),), (Layer.XLA,))
    record = run_trial(_trial(workload, tmp_path, configuration), 1)
    assert record.outcome is Outcome.REJECTED
    assert told in record.reason


def test_an_allocator_that_is_absent_is_rejected_without_a_process(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocators, "library_path", lambda name: None)
    configuration = Catalogue().configuration({"allocator": "jemalloc"})
    record = run_trial(_trial(workload, tmp_path, configuration), 1)
    assert record.outcome is Outcome.REJECTED
    assert "allocator 'jemalloc' is not installed on this machine" in record.reason
    assert record.stages == []


def test_more_cpus_than_there_are_is_a_rejected_record(workload: Workload, tmp_path: Path) -> None:
    configuration = Catalogue().configuration({"cpus": "100000"})
    record = run_trial(_trial(workload, tmp_path, configuration), 1)
    assert record.outcome is Outcome.REJECTED
    assert "100000 CPUs are asked for" in record.reason


def test_ctrl_c_leaves_an_interrupted_record(workload: Workload, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    trial = _trial(workload, tmp_path)
    _at_stage(trial, "import", interrupt)
    record = run_trial(trial, 1)
    assert record.outcome is Outcome.INTERRUPTED
    with pytest.raises(ProcessLookupError):
        os.kill(_pid(trial), 0)


def test_a_trial_that_was_never_started_can_be_aborted(workload: Workload, tmp_path: Path) -> None:
    record = _trial(workload, tmp_path).abort(Outcome.INTERRUPTED, "interrupted by the user")
    assert record.outcome is Outcome.INTERRUPTED
    assert record.artifacts == {}


def _sleeping_child(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> ChildProcess:
    """A child that says nothing and ends when its standard input does."""
    monkeypatch.setattr(sys, "executable", shutil.which("cat"))
    return ChildProcess(TrialSpec({}, {}, (0,)), folder, {}, **options)


def test_half_an_event_of_a_killed_child_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = _sleeping_child(tmp_path, monkeypatch, time_limit_s=60)
    # `cat` knows no option -m and is gone at once.
    assert child.next_event() is None
    read_end, write_end = os.pipe()
    os.write(write_end, b'{"kind": "ready", "data": {}}\n{"kind": "chec')
    os.close(write_end)
    child.read_events(read_end)
    assert child.next_event() == Event("ready")
    assert child.next_event() is None
    child.end(patient=True)


def test_a_child_that_is_not_waited_for_does_not_use_up_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = _sleeping_child(tmp_path, monkeypatch, time_limit_s=0.3)
    assert child.next_event() is None
    time.sleep(0.5)
    child._events.put(Event("ready"))
    assert child.next_event() == Event("ready")
    with pytest.raises(TimeIsUpError):
        child.next_event()
    child.end(patient=True)


def test_time_in_which_perfkit_itself_was_held_up_is_not_the_childs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        """An hour passes whenever somebody looks."""

        now_s = 0.0

        def monotonic(self) -> float:
            self.now_s += 3600.0
            return self.now_s

    child = _sleeping_child(tmp_path, monkeypatch, time_limit_s=60)
    assert child.next_event() is None
    monkeypatch.setattr("perfkit.trial.child.time", Clock())
    monkeypatch.setattr("perfkit.trial.child.SLICE_S", 0.01)
    threading.Timer(0.05, child._events.put, (Event("ready"),)).start()
    assert child.next_event() == Event("ready")
    child.end(patient=True)


def test_a_trial_may_end_once_it_is_compiled(workload: Workload, tmp_path: Path) -> None:
    limits = Limits(time_s=600)
    trial = TrialProcess(workload, STOCK, tmp_path, limits, last_stage=COMPILE_STAGE)
    record = run_trial(trial, 3)
    assert record.outcome is Outcome.OK
    assert [stage.name for stage in record.stages] == ["import", "prepare", "trace", "compile"]
    assert record.compilation is not None
    # The parameters alone are 368.4 million numbers of two bytes.
    assert record.compilation.argument_bytes > 700_000_000
    assert record.compilation.temporary_bytes > 0


PARENT = """
import sys
from pathlib import Path
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.trial.launcher import TrialProcess
trial = TrialProcess(get_model("af3").workload({"size": 8}, {"steps": 1}), STOCK, Path(sys.argv[1]))
trial.on_stage = lambda stage: print(stage, trial._child.pid, flush=True)
trial.start()
trial.wait_ready()
"""


@pytest.mark.parametrize("stage", ["import", "trace", "compile"])
def test_a_worker_whose_parent_was_killed_leaves_too(tmp_path: Path, stage: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = next(int(line.split()[1]) for line in parent.stdout if line.startswith(stage))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline_s = time.monotonic() + 30
    while _is_running(worker) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not _is_running(worker)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_no_thread_of_a_finished_trial_stays_behind(workload: Workload, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    run_trial(_trial(workload, tmp_path, limits=Limits(time_s=0.5)), 1)
    deadline_s = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert set(threading.enumerate()) <= before

"""Trials that share a child: one process, records of their own, faults that stay apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.records.schema import Outcome, Record
from perfkit.trial.answers import load_answers
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.limits import Limits
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest
from perfkit.trial.shared_child import SharedChildren
from tests.support.processes import is_running, wait_for_end
from tests.support.three_numbers import THREE_NUMBERS_COMMAND, start_three_numbers, three_numbers

pytest.importorskip("jax", reason="the workers of these trials run JAX")

NARROW = Catalogue().configuration({"xla_cpu_prefer_vector_width": "128"})
ONE_CPU = Catalogue().configuration({"cpus": "1"})


@pytest.fixture
def shared() -> Iterator[SharedChildren]:
    """Children that run the model of three numbers; they end with the test."""
    with SharedChildren(THREE_NUMBERS_COMMAND) as children:
        yield children


@pytest.fixture
def request_(tmp_path: Path) -> TrialRequest:
    """A trial of three numbers in a shared process."""
    labels = TrialLabels(shared_process=True)
    return TrialRequest(three_numbers(), STOCK, tmp_path, labels=labels)


def _opened(
    request: TrialRequest, shared: SharedChildren, configuration: Configuration = STOCK
) -> TrialProcess:
    """A trial that has been started."""
    trial = ObservedTrial(replace(request, configuration=configuration), start_child=shared.start)
    trial.start()
    return trial


def _ready(
    request: TrialRequest, shared: SharedChildren, configuration: Configuration = STOCK
) -> TrialProcess:
    """A trial that has made its first pass."""
    trial = _opened(request, shared, configuration)
    assert trial.wait_ready()
    return trial


def _cache(record: Record) -> str:
    assert record.compilation is not None
    return record.compilation.cache


def test_two_configurations_take_turns_in_one_process(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    stock, narrow = _ready(request_, shared), _ready(request_, shared, NARROW)
    assert stock.pid == narrow.pid
    for round_number in range(2):
        for trial in (stock, narrow):
            assert trial.steady_pass(round_number) is not None
    records = [stock.finish(), narrow.finish()]
    for record, configuration in zip(records, (STOCK, NARROW), strict=True):
        assert record.outcome is Outcome.OK, record.reason
        assert record.configuration.digest == configuration.digest
        assert record.shared_process
        assert [stage.round for stage in record.steady] == [0, 1]
        assert [stage.name for stage in record.stages] == [
            "import",
            "prepare",
            "trace",
            "compile",
            "first",
            "steady",
            "steady",
            "check",
        ]
    assert len({record.id for record in records}) == 2


def test_a_process_is_shared_only_by_trials_with_its_environment_and_cpus(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    stock, one_cpu = _ready(request_, shared), _ready(request_, shared, ONE_CPU)
    assert stock.pid != one_cpu.pid
    assert one_cpu.finish().outcome is Outcome.OK
    assert stock.finish().outcome is Outcome.OK


def test_the_memory_of_a_trial_is_that_of_its_process(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    trial = _opened(request_, shared)
    starting = trial.memory()
    assert starting is not None
    assert (starting.pid, starting.passed) == (trial.pid, False)
    assert trial.wait_ready()
    use = trial.memory()
    assert use is not None
    assert use.passed
    rss_bytes = psutil.Process(use.pid).memory_info().rss
    assert use.resident_bytes == pytest.approx(rss_bytes, rel=0.05)
    assert use.peak_bytes >= use.resident_bytes
    assert trial.finish().outcome is Outcome.OK
    assert trial.memory() is None


def test_a_process_that_no_trial_uses_ends_when_another_one_starts(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    first = _opened(request_, shared)
    assert first.wait_ready()
    pid = first.pid
    assert pid is not None
    first.finish()
    assert is_running(pid)
    second = _opened(request_, shared, ONE_CPU)
    assert second.wait_ready()
    wait_for_end(pid)
    third = _opened(request_, shared, NARROW)
    assert third.wait_ready()
    assert second.alive
    for trial in (second, third):
        assert trial.finish().outcome is Outcome.OK


def test_the_answer_is_that_of_a_process_of_its_own(
    request_: TrialRequest, shared: SharedChildren, tmp_path: Path
) -> None:
    files = {name: TrialFiles(save_compared=tmp_path / f"{name}.answers") for name in "ab"}
    run_trial(TrialProcess(replace(request_, files=files["a"]), start_child=shared.start), 1)
    own = replace(request_, files=files["b"], labels=TrialLabels())
    run_trial(TrialProcess(own, start_child=start_three_numbers), 1)
    ours, theirs = (load_answers(tmp_path / f"{name}.answers")["numbers"] for name in "ab")
    # One plus one, three times.
    assert ours.tolist() == theirs.tolist() == [2.0, 2.0, 2.0]


def test_a_program_that_was_closed_is_not_compiled_again(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    records = [
        _ready(request_, shared, configuration).finish()
        for configuration in (STOCK, NARROW, STOCK, NARROW)
    ]
    # Without a persistent cache, a compilation is `off`.
    assert [_cache(record) for record in records] == ["off", "off", "hit", "hit"]
    other = replace(request_, workload=three_numbers(value=2.0))
    assert _cache(_ready(other, shared).finish()) == "off"


def test_what_the_compiler_refuses_ends_one_trial(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    stock = _ready(request_, shared)
    # The flag is known, the scheduler is not.
    refused = Configuration((("xla_cpu_scheduler_type", "x"),), NARROW.layers)
    trial = _opened(request_, shared, refused)
    assert not trial.wait_ready()
    record = trial.finish()
    assert record.outcome is Outcome.REJECTED
    assert "xla_cpu_scheduler_type" in record.reason
    assert stock.steady_pass(0) is not None
    assert stock.finish().outcome is Outcome.OK


def test_an_exception_in_one_program_is_its_own_crash(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    stock = _ready(request_, shared)
    broken = _opened(replace(request_, workload=three_numbers(value=-1.0)), shared)
    assert not broken.wait_ready()
    record = broken.finish()
    assert record.outcome is Outcome.CRASHED
    assert record.reason == "ValueError: numbers are not negative"
    assert stock.steady_pass(0) is not None
    assert stock.finish().outcome is Outcome.OK


def test_a_trial_that_is_aborted_between_passes_leaves_the_others_alone(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    stock, narrow = _ready(request_, shared), _ready(request_, shared, NARROW)
    assert narrow.abort(Outcome.INTERRUPTED, "not needed").reason == "not needed"
    assert stock.steady_pass(0) is not None
    assert stock.finish().outcome is Outcome.OK


def test_a_killed_child_is_the_crash_of_the_trial_at_work_and_interrupts_the_others(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    idle = _ready(request_, shared)
    assert idle.steady_pass(0) is not None
    trial = TrialProcess(
        replace(request_, workload=three_numbers(pass_s=600.0)), start_child=shared.start
    )
    pid = idle.pid
    assert pid is not None
    trial.on_stage = lambda stage: os.kill(pid, signal.SIGKILL) if stage == "first" else None
    working = run_trial(trial, 1)
    assert working.outcome is Outcome.CRASHED
    assert working.reason.startswith("killed by signal 9; nothing shows that memory ran out")
    assert not idle.alive
    assert idle.steady_pass(1) is None
    record = idle.finish()
    assert record.outcome is Outcome.INTERRUPTED
    assert record.reason.startswith(
        "the process that it shared has ended with another trial at work: killed by signal 9"
    )
    # What it has measured so far stays.
    assert [stage.round for stage in record.steady] == [0]
    again = _ready(request_, shared)
    assert again.pid != pid
    assert again.finish().outcome is Outcome.OK


def test_a_child_that_is_killed_between_passes_interrupts_its_trials(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    trials = [_ready(request_, shared), _ready(request_, shared, NARROW)]
    pid = trials[0].pid
    assert pid is not None
    (child,) = shared._children.values()
    deadline_s = time.monotonic() + 30
    # A trial is ready an instant before its instruction counts as served.
    while child.works_for() is not None:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    # The first thread of a process may end before the others, which hold its pipes.
    while any(trial.alive for trial in trials):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert [trial.steady_pass(0) for trial in trials] == [None, None]
    records = [trial.finish() for trial in trials]
    assert {record.outcome for record in records} == {Outcome.INTERRUPTED}
    assert records[0].reason.startswith(
        "the process that it shared has ended while no trial was at work: killed by signal 9"
    )


def test_a_trial_over_its_time_limit_names_itself_to_those_it_interrupts(
    request_: TrialRequest, shared: SharedChildren
) -> None:
    idle = _ready(request_, shared)
    slow = replace(request_, workload=three_numbers(pass_s=600.0), limits=Limits(time_s=1.0))
    trial = _opened(slow, shared)
    assert not trial.wait_ready()
    assert trial.finish().outcome is Outcome.TIMEOUT
    record = idle.finish()
    assert record.outcome is Outcome.INTERRUPTED
    assert record.reason == (
        "the process that it shared has ended with another trial at work: "
        "not done after 1 s, in stage 'first'"
    )


def test_the_end_of_all_children_ends_their_processes(request_: TrialRequest) -> None:
    with SharedChildren(THREE_NUMBERS_COMMAND) as children:
        trial = _ready(request_, children)
        assert trial.finish().outcome is Outcome.OK
        pid = trial.pid
        assert pid is not None
        assert is_running(pid)
    assert not is_running(pid)


def test_observers_are_refused(request_: TrialRequest) -> None:
    with pytest.raises(ValueError, match="observers need a process of the trial's own"):
        replace(request_, observers=(_NoObserver(),))  # type: ignore[arg-type]  # any will do


class _NoObserver:
    """Stands for an observer, none of whose methods is called."""


PARENT = """
import sys
from pathlib import Path
from perfkit.knobs.configuration import STOCK
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.request import TrialLabels, TrialRequest
from perfkit.trial.shared_child import SharedChildren
from tests.support.three_numbers import THREE_NUMBERS_COMMAND, three_numbers
shared = SharedChildren(THREE_NUMBERS_COMMAND)
labels = TrialLabels(shared_process=True)
workload = three_numbers(pass_s=float(sys.argv[2]))
trial = TrialProcess(
    TrialRequest(workload, STOCK, Path(sys.argv[1]), labels=labels), start_child=shared.start
)
trial.on_stage = lambda stage: print(stage, trial.pid, flush=True)
trial.start()
trial.wait_ready()
print("ready", trial.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("moment", "pass_s"), [("ready", 0.0), ("first", 600.0)])
def test_a_shared_child_ends_when_its_parent_is_killed(
    tmp_path: Path, moment: str, pass_s: float
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(pass_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    worker = next(int(line.split()[1]) for line in parent.stdout if line.startswith(moment))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()
    wait_for_end(worker)

"""Trials that end badly: each leaves a record that says why, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.knobs import allocators
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.knob import Layer
from perfkit.records.schema import Outcome
from perfkit.records.stages import StageName
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialFiles, TrialRequest
from tests.support.processes import wait_for_end
from tests.support.three_numbers import start_three_numbers, three_numbers

pytest.importorskip("jax", reason="the workers of these trials run JAX")


@pytest.fixture
def tiny(tmp_path: Path) -> TrialRequest:
    """A trial of three numbers with stock settings."""
    return TrialRequest(three_numbers(), STOCK, tmp_path)


def _trial(tiny: TrialRequest) -> TrialProcess:
    return TrialProcess(tiny, start_child=start_three_numbers)


def _at_stage(trial: TrialProcess, name: StageName, act: Callable[[], None]) -> None:
    """Act as soon as the child has entered a stage."""

    def entered(stage: str) -> None:
        if stage == name:
            act()

    trial.on_stage = entered


def _pid(trial: TrialProcess) -> int:
    assert trial.pid is not None
    return trial.pid


def test_a_good_trial_has_its_passes_and_its_answer(tiny: TrialRequest) -> None:
    out = tiny.store_folder / "out"
    request = replace(tiny, files=TrialFiles(output_folder=out))
    record = run_trial(_trial(request), 2)
    assert record.outcome is Outcome.OK, record.reason
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
    assert [stage.round for stage in record.steady] == [0, 1]
    assert (tiny.store_folder / record.artifacts["numbers.txt"]).read_text() == "6.0"


def test_an_answer_that_differs_from_the_reference_disagrees(tiny: TrialRequest) -> None:
    answers = tiny.store_folder / "reference.answers"
    reference = replace(tiny, files=TrialFiles(save_compared=answers))
    assert run_trial(_trial(reference), 0).outcome is Outcome.OK
    other = replace(tiny, workload=three_numbers(value=2.0), files=TrialFiles(reference=answers))
    record = run_trial(_trial(other), 0)
    assert record.outcome is Outcome.DISAGREES
    # Numbers of 3 against numbers of 2: the difference is half of the reference.
    assert record.reason == "outside its agreement class float32: numbers (0.5)"


def test_a_trial_over_its_time_limit_ends_as_timeout(tiny: TrialRequest) -> None:
    request = replace(tiny, workload=three_numbers(pass_s=600.0), limits=Limits(time_s=1.5))
    record = run_trial(_trial(request), 1)
    assert record.outcome is Outcome.TIMEOUT
    assert record.reason.startswith("not done after 1.5 s, ")
    assert record.steady == []


def test_a_trial_over_its_memory_limit_ends_as_out_of_memory(tiny: TrialRequest) -> None:
    # JAX alone takes more.
    request = replace(tiny, limits=Limits(memory_bytes=100_000_000))
    record = run_trial(_trial(request), 1)
    assert record.outcome is Outcome.OUT_OF_MEMORY
    assert record.reason.endswith("GB resident, the limit is 0.1 GB")
    assert record.peak_rss_bytes > 100_000_000


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "killed by signal 9; nothing shows that memory ran out"),
        (signal.SIGSEGV, "died of SIGSEGV"),
    ],
)
def test_a_killed_worker_is_a_record(
    tiny: TrialRequest, number: signal.Signals, reason: str
) -> None:
    trial = _trial(tiny)
    _at_stage(trial, StageName.IMPORT, lambda: os.kill(_pid(trial), number))
    record = run_trial(trial, 1)
    assert record.outcome is Outcome.CRASHED
    assert reason in record.reason
    assert (tiny.store_folder / record.artifacts["log"]).exists()


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("xla_no_such_versions", "in", "has no flag xla_no_such_versions"),
        ("xla_cpu_use_onednn", "maybe", "value maybe for flag xla_cpu_use_onednn"),
        ("xla_cpu_scheduler_type", "x", "does not take a flag's value: --xla_cpu_scheduler_type=x"),
    ],
)
def test_a_flag_that_xla_refuses_is_named(
    tiny: TrialRequest, flag: str, value: str, reason: str
) -> None:
    configuration = Configuration(((flag, value),), (Layer.XLA,))
    record = run_trial(_trial(replace(tiny, configuration=configuration)), 1)
    assert record.outcome is Outcome.REJECTED
    assert reason in record.reason


def test_an_allocator_that_is_absent_is_rejected_without_a_process(
    tiny: TrialRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocators, "library_path", lambda name: None)
    configuration = Catalogue().configuration({"allocator": "jemalloc"})
    trial = _trial(replace(tiny, configuration=configuration))
    record = run_trial(trial, 1)
    assert record.outcome is Outcome.REJECTED
    assert "allocator 'jemalloc' is not installed on this machine" in record.reason
    assert record.stages == []
    assert trial.pid is None


def test_more_cpus_than_there_are_is_a_rejected_record(tiny: TrialRequest) -> None:
    configuration = Catalogue().configuration({"cpus": "100000"})
    record = run_trial(_trial(replace(tiny, configuration=configuration)), 1)
    assert record.outcome is Outcome.REJECTED
    assert "100000 CPUs are asked for" in record.reason


def test_ctrl_c_leaves_an_interrupted_record(tiny: TrialRequest) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    trial = _trial(tiny)
    _at_stage(trial, StageName.IMPORT, interrupt)
    record = run_trial(trial, 1)
    assert record.outcome is Outcome.INTERRUPTED
    with pytest.raises(ProcessLookupError):
        os.kill(_pid(trial), 0)


def test_a_trial_that_was_never_started_can_be_aborted(tiny: TrialRequest) -> None:
    record = _trial(tiny).abort(Outcome.INTERRUPTED, "interrupted by the user")
    assert record.outcome is Outcome.INTERRUPTED
    assert record.artifacts == {}


def test_a_trial_may_end_once_it_is_compiled(tiny: TrialRequest) -> None:
    record = run_trial(_trial(replace(tiny, last_stage=StageName.COMPILE)), 3)
    assert record.outcome is Outcome.OK
    assert [stage.name for stage in record.stages] == ["import", "prepare", "trace", "compile"]
    assert record.compilation is not None
    # Three numbers of four bytes each.
    assert record.compilation.argument_bytes == 12
    assert record.compilation.output_bytes == 12
    assert record.compilation.parts == {"addition": 1}


PARENT = """
import sys
from pathlib import Path
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.request import TrialRequest
workload = get_model("af3").workload({"size": 8}, {"steps": 1})
trial = TrialProcess(TrialRequest(workload, STOCK, Path(sys.argv[1])))
trial.on_stage = lambda stage: print(stage, trial.pid, flush=True)
trial.start()
trial.wait_ready()
"""


@pytest.mark.parametrize("stage", ["import", "trace", "compile"])
def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path, stage: str) -> None:
    pytest.importorskip("alphafold3", reason="stages must be long, and take long within a call")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = next(int(line.split()[1]) for line in parent.stdout if line.startswith(stage))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for_end(worker)


def test_no_thread_of_a_finished_trial_stays_behind(tiny: TrialRequest) -> None:
    before = set(threading.enumerate())
    run_trial(_trial(replace(tiny, limits=Limits(time_s=0.5))), 1)
    deadline_s = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert set(threading.enumerate()) <= before

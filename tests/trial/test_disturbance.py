"""A pass that something held up is dropped and repeated, and no other pass is."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from perfkit.knobs.configuration import STOCK
from perfkit.observers.process_tree import Timeline, TreeSample
from perfkit.records.schema import Outcome
from perfkit.trial.conditions.disturbance import Hold, disturbance, longest_still_s
from perfkit.trial.launcher import MAX_ATTEMPTS, TrialProcess
from perfkit.trial.request import TrialRequest
from tests.support.three_numbers import start_three_numbers, three_numbers


def _samples(*periods: tuple[float, float, float]) -> list[TreeSample]:
    """Samples of periods, each given as its seconds, CPUs in use, and seconds between samples."""
    moment, used = 0.0, 0.0
    samples = [TreeSample(moment, used, 1)]
    for seconds, cpus, step in periods:
        for _ in range(round(seconds / step)):
            moment, used = moment + step, used + cpus * step
            samples.append(TreeSample(round(moment, 6), used, 1))
    return samples


def _reason(samples: list[TreeSample], hold: Hold | None = None, end_s: float = 60.0) -> str | None:
    return disturbance(0.0, end_s, hold or Hold(), samples, computes=True)


@pytest.mark.parametrize(
    "samples",
    [
        _samples((10, 2.0, 0.1)),
        # A machine so busy that the program gets a fifth of a CPU: slow, but not held up.
        _samples((60, 0.2, 0.1)),
        # A quota with the longest period of one second: the program runs for a tenth of it.
        _samples(*[(0.1, 2.0, 0.1), (0.9, 0.0, 0.1)] * 5),
        # The sampling thread did not run for seconds, but the program did.
        _samples((1, 2.0, 0.1), (5, 1.9, 5.0), (1, 2.0, 0.1)),
        [],
    ],
)
def test_a_slow_pass_is_kept(samples: list[TreeSample]) -> None:
    assert _reason(samples) is None


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        # Frozen for two seconds while the parent went on sampling.
        (_samples((1, 2.0, 0.1), (2, 0.0, 0.1), (1, 2.0, 0.1)), "did not run for 2.0 s"),
        # Stopped together with the parent, whose next sample came thirty seconds later.
        (_samples((1, 2.0, 0.1), (30, 0.01, 30.0), (1, 2.0, 0.1)), "did not run for 30.0 s"),
    ],
)
def test_a_pass_in_which_nothing_ran_was_held_up(samples: list[TreeSample], reason: str) -> None:
    assert _reason(samples) == f"the program {reason}"


def test_a_stop_is_noticed_however_short_it_was() -> None:
    working = _samples((10, 2.0, 0.1))
    seen = [*working[:50], TreeSample(5.05, working[50].cpu_s, 1, stopped=True), *working[51:]]
    assert _reason(seen) == "the program was stopped by a signal or a tracer"
    assert _reason(working, Hold(continued=1)) == "the program was stopped by a signal or a tracer"
    assert _reason(working, Hold(continued=3)) == (
        "the program was stopped by a signal or a tracer, resumed 3 times"
    )


def test_the_clocks_show_that_the_machine_slept() -> None:
    working = _samples((10, 2.0, 0.1))
    assert _reason(working, Hold(suspended_s=7200.0)) == "the machine was suspended for 7200.0 s"
    # The two clocks are read one after the other, so that they differ a little.
    assert _reason(working, Hold(suspended_s=1e-5)) is None


def test_time_outside_of_the_pass_does_not_count() -> None:
    samples = _samples((3, 0.0, 0.1), (4, 2.0, 0.1), (3, 0.0, 0.1))
    assert longest_still_s(3.0, 7.0, samples) == 0.0
    assert longest_still_s(2.5, 7.0, samples) == pytest.approx(0.5)
    assert longest_still_s(0.0, 10.0, samples) == pytest.approx(3.0)
    around = Timeline(samples).around(3.0, 7.0)
    assert [around[0].time_s, around[-1].time_s] == [2.9, 7.1]


def test_a_stage_that_reads_files_may_wait() -> None:
    waiting = _samples((5, 0.0, 0.1))
    assert disturbance(0.0, 5.0, Hold(), waiting, computes=False) is None


STOPPED_PASSES = (1, *range(3, 3 + MAX_ATTEMPTS))
"""The first pass of round 0, and all of round 1; passes are counted from 1."""

STOP_S = 1.5


def test_a_stopped_pass_is_repeated_and_the_record_says_so(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="the worker of this trial runs JAX")
    request = TrialRequest(three_numbers(pass_s=0.4), STOCK, tmp_path)
    trial = TrialProcess(request, start_child=start_three_numbers)
    passes = 0

    def hold_up(stage: str) -> None:
        nonlocal passes
        passes += stage == "steady"
        if stage == "steady" and passes in STOPPED_PASSES:
            assert trial.pid is not None
            os.kill(trial.pid, signal.SIGSTOP)
            threading.Timer(STOP_S, os.kill, (trial.pid, signal.SIGCONT)).start()

    trial.on_stage = hold_up
    trial.start()
    assert trial.wait_ready()
    assert trial.steady_pass(0) is not None
    assert trial.steady_pass(1) is None
    # The trial goes on as before.
    assert trial.steady_pass(2) is not None
    record = trial.finish()
    assert record.outcome is Outcome.OK
    assert [stage.round for stage in record.steady] == [0, 2]
    assert not any(stage.disturbed for stage in record.steady)
    assert [dropped.round for dropped in record.disturbed_passes] == [0] + [1] * MAX_ATTEMPTS
    for dropped in record.disturbed_passes:
        assert dropped.wall_s > STOP_S
        assert dropped.reason.startswith("the program was stopped by a signal or a tracer")
    begin = "a pass was held up and dropped: "
    assert any(warning.startswith(begin) for warning in record.warnings)
    assert f"no pass of round 1 is kept: all of {MAX_ATTEMPTS} were held up" in record.warnings

"""Replayed trials: their seconds, their noise, and the space that they are searched in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration, RecordedSweep
from benchmarks.replayed import ReplayRunner, exhaustive_s, recorded_space
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK as STOCK_CONFIGURATION
from perfkit.knobs.configuration import Catalogue
from perfkit.models.gencast.model import GenCast
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.request import TrialFiles, TrialLabels
from tests.support.tiny_sweep import (
    ALLOCATOR,
    BOTH,
    PRECISION,
    STOCK,
    WORKLOAD,
    entry,
    tiny_sweep,
)

MODEL = GenCast()
CATALOGUE = Catalogue(MODEL.knobs)


def _seconds(
    runner: ReplayRunner,
    settings: Mapping[str, str],
    labels: TrialLabels | None = None,
    files: TrialFiles | None = None,
) -> float:
    """Seconds from the start of a trial to the end of its first pass."""
    begin_s = runner.now_s()
    trial = runner.trial(
        WORKLOAD, CATALOGUE.configuration(settings), labels or TrialLabels(), files or TrialFiles()
    )
    trial.start()
    assert trial.wait_ready()
    return runner.now_s() - begin_s


def test_a_trial_starts_compiles_and_passes_in_the_recorded_time() -> None:
    # Process 3 s, preparing 2 s, lowering 1 s, compilation 4 s, first pass 5 s.
    assert _seconds(ReplayRunner(tiny_sweep(), MODEL), PRECISION) == pytest.approx(15.0)


def test_a_program_from_the_cache_is_not_compiled_again(tmp_path: Path) -> None:
    runner, files = ReplayRunner(tiny_sweep(), MODEL), TrialFiles(compile_cache=tmp_path)
    assert _seconds(runner, PRECISION, files=files) == pytest.approx(15.0)
    assert _seconds(runner, PRECISION, files=files) == pytest.approx(11.0 + 0.08 * 4.0)
    # Another allocator does not change the program: 6 s, and a first pass of 4 s.
    assert _seconds(runner, BOTH, files=files) == pytest.approx(10.0 + 0.08 * 4.0)


def test_trials_share_what_their_process_has() -> None:
    runner = ReplayRunner(tiny_sweep(), MODEL)
    labels = TrialLabels(shared_process=True)
    seconds = [
        _seconds(runner, settings, labels) for settings in (STOCK, PRECISION, ALLOCATOR, PRECISION)
    ]
    # Stock starts a process: 6 + 4 + 10. The precision is prepared and lowered in it: 3 + 4 + 5.
    # Another allocator needs a process of its own: 6 + 4 + 9. A program that is lowered already is
    # only compiled: 4 + 5.
    assert seconds == pytest.approx([20.0, 12.0, 19.0, 9.0])
    runner.end_shared()
    assert _seconds(runner, PRECISION, labels) == pytest.approx(15.0)


def _passes(runner: ReplayRunner, settings: Mapping[str, str], count: int) -> list[float]:
    trial = runner.trial(WORKLOAD, CATALOGUE.configuration(settings), TrialLabels(), TrialFiles())
    trial.start()
    trial.wait_ready()
    passes = [trial.steady_pass(number) for number in range(count)]
    return [one.wall_s for one in passes if one is not None]


NOISY = (
    entry(STOCK, (10.0, 12.0, 8.0, 20.0, 24.0, 16.0), (10.0, 12.0, 8.0, 20.0, 24.0, 16.0)),
    entry(PRECISION, (5.0, 6.0, 3.0), (10.0, 12.0, 8.0)),
    entry(ALLOCATOR, (18.0, 18.0, 18.0), (20.0, 24.0, 16.0)),
)
"""Stock slows down by half from the first candidate to the second; its passes differ by 20 %."""


def test_passes_are_drawn_from_the_recorded_ones() -> None:
    runner = ReplayRunner(tiny_sweep(NOISY), MODEL, seed=1)
    # The median pass of stock takes 14 s, and the median ratio is 0.5.
    drawn = _passes(runner, PRECISION, 100)
    assert sorted(set(drawn)) == pytest.approx([7.0 * 0.6, 7.0, 7.0 * 1.2])
    assert [one.wall_s for one in runner.passes] == drawn


def test_noise_of_stock_is_free_of_the_drift_between_candidates() -> None:
    drawn = _passes(ReplayRunner(tiny_sweep(NOISY), MODEL, seed=1), STOCK, 100)
    assert sorted(set(drawn)) == pytest.approx([14.0 * 0.8, 14.0, 14.0 * 1.2])


def test_the_seed_decides_the_noise() -> None:
    first, same, other = (
        _passes(ReplayRunner(tiny_sweep(NOISY), MODEL, seed), STOCK, 20) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


def test_without_a_seed_every_pass_takes_its_level() -> None:
    assert _passes(ReplayRunner(tiny_sweep(NOISY), MODEL), STOCK, 3) == [14.0] * 3


def test_a_longer_prediction_takes_longer() -> None:
    runner = ReplayRunner(tiny_sweep(), MODEL)
    # Six levels call the denoiser 11 times, two levels 3 times.
    longer = WORKLOAD.with_fidelity(levels=6)
    assert runner.level_s(tiny_sweep().stock, longer) == pytest.approx(10.0 * 11 / 3)


def test_another_depth_takes_its_own_ratio_or_that_of_the_sweep() -> None:
    shallow = tiny_sweep(
        [entry(STOCK, (2.0, 2.0), (2.0, 2.0)), *tiny_sweep().configurations[1:]]
    ).model_copy(update={"workload": tiny_sweep().workload.model_copy(update={"depth": "shallow"})})
    full = tiny_sweep([entry(STOCK, (10.0, 10.0)), entry(BOTH, (3.0, 3.0))])
    runner = ReplayRunner(shallow, MODEL, other=full)
    at_shallow = dataclasses.replace(WORKLOAD, depth=SHALLOW_DEPTH)
    entries = shallow.configurations
    assert [runner.level_s(one, at_shallow) for one in entries] == pytest.approx(
        [2.0, 1.0, 1.8, 0.8]
    )
    # The full sweep has stock and both changes; the others take their shallow ratio.
    assert [runner.level_s(one, WORKLOAD) for one in entries] == pytest.approx(
        [10.0, 5.0, 9.0, 3.0]
    )


def _record(sweep: RecordedSweep, settings: Mapping[str, str], passes: int) -> Record:
    runner = ReplayRunner(sweep, MODEL)
    trial = runner.trial(WORKLOAD, CATALOGUE.configuration(settings), TrialLabels(), TrialFiles())
    trial.start()
    if trial.wait_ready():
        for number in range(passes):
            trial.steady_pass(number)
    return trial.finish()


def _with(changed: Sequence[RecordedConfiguration]) -> RecordedSweep:
    return tiny_sweep([*tiny_sweep().configurations[:3], *changed])


@pytest.mark.parametrize(
    ("passes", "outcome", "kept"),
    [((), Outcome.REJECTED, 0), ((4.0,), Outcome.CRASHED, 1), ((4.0, 4.0), Outcome.DISAGREES, 5)],
)
def test_a_trial_ends_as_it_was_recorded(
    passes: tuple[float, ...], outcome: Outcome, kept: int
) -> None:
    sweep = _with([entry(BOTH, passes, (10.0,) * len(passes), outcome)])
    record = _record(sweep, BOTH, 5)
    assert (record.outcome, len(record.steady)) == (outcome, kept)


def test_a_record_has_the_recorded_program_and_memory() -> None:
    record = _record(tiny_sweep(), BOTH, 1)
    assert record.peak_rss_bytes == 1000
    assert record.compilation is not None
    assert (record.compilation.code_bytes, record.compilation.output_bytes) == (1, 4)


def test_a_configuration_that_was_not_recorded_is_refused() -> None:
    configuration = CATALOGUE.configuration({"cpus": "1"})
    runner = ReplayRunner(tiny_sweep(), MODEL)
    with pytest.raises(UserError, match="cpus=1 is not in the sweep of gencast, tiny, full depth"):
        runner.trial(WORKLOAD, configuration, TrialLabels(), TrialFiles())
    reference = TrialLabels(role=Role.REFERENCE)
    assert runner.trial(WORKLOAD, configuration, reference, TrialFiles()).pass_s() == 10.0


def test_the_space_has_the_recorded_values_alone() -> None:
    space = recorded_space(tiny_sweep(), MODEL)
    assert space.changes == ((("precision", "bfloat16"),), (("allocator", "glibc-keep"),))
    both = space.changed(space.changed(STOCK_CONFIGURATION, space.changes[0]), space.changes[1])
    assert both.as_dict() == BOTH


def test_a_sample_has_no_space() -> None:
    with pytest.raises(UserError, match="cannot be searched"):
        recorded_space(tiny_sweep(tiny_sweep().configurations[:3]), MODEL)


def test_the_exhaustive_cost_adds_up() -> None:
    # Two processes (3 s each), two sets of the model's knobs in each of them (3 s each), two
    # programs (4 s each), which the other process reads from the cache in 8 % of the time, and four
    # configurations with a check (0.5 s), and one first and two timed passes.
    passes_s = 3 * (10.0 + 5.0 + 9.0 + 4.0)
    assert exhaustive_s(tiny_sweep(), CATALOGUE, 2) == pytest.approx(
        2 * 3.0 + 4 * 3.0 + 2 * 4.32 + 4 * 0.5 + passes_s
    )


def test_a_refused_configuration_costs_its_compilation() -> None:
    sweep = _with([entry(BOTH, (), (), Outcome.REJECTED)])
    whole_s = exhaustive_s(tiny_sweep(), CATALOGUE, 2)
    assert exhaustive_s(sweep, CATALOGUE, 2) == pytest.approx(whole_s - 3 * 4.0 - 0.5)

"""Studies on replayed trials: what they find, what they cost, how they resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration, RecordedSweep
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.strategy import Change
from tests.support.recorded_studies import (
    AMPLE_S,
    CHANGES,
    SHORT_S,
    START_S,
    assert_nothing_is_better,
    best_settings,
    make_study,
    recorded_ratio,
)
from tests.support.replay import (
    SWEEP,
    WatchedRunner,
    disagreeing,
    roles,
)


def wrong_constants(
    role: Role, configuration: Configuration, entry: RecordedConfiguration
) -> RecordedConfiguration:
    """The answer with baked-in parameters is wrong."""
    return disagreeing(entry) if "parameters" in configuration.as_dict() else entry


def _slowed(pass_s: float) -> RecordedSweep:
    """The sweep of a machine on which a pass of stock takes ``pass_s``."""
    factor = pass_s / SWEEP.stock_s
    slower = [
        one.model_copy(
            update={
                "passes_s": [factor * seconds for seconds in one.passes_s],
                "base_s": [factor * seconds for seconds in one.base_s],
                "first_s": factor * (one.first_s or 0.0),
            }
        )
        for one in SWEEP.configurations
    ]
    return SWEEP.model_copy(update={"configurations": slower})


def test_a_study_ends_where_no_recorded_change_is_better(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner())
    study.run()
    best = study.recommendation().best
    assert best is not None
    assert_nothing_is_better(best.settings)
    ratio = recorded_ratio(best.settings)
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(1 / ratio)
    assert best.speedup.ends == pytest.approx((1 / ratio, 1 / ratio))
    assert best.time_s is not None
    assert best.time_s.median == pytest.approx(ratio * SWEEP.stock_s)


def test_the_best_is_confirmed_in_processes_started_for_each_block(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner())
    study.run()
    confirmed = roles(study.records(), "confirm")
    blocks = {record.block for record in confirmed}
    assert len(blocks) >= 6
    for block in blocks:
        members = [record for record in confirmed if record.block == block]
        assert {} in [record.configuration.settings for record in members]
        assert len(members) == len({record.configuration.digest for record in members}) >= 2
    screened = {record.block for record in study.records() if record.role != "confirm"}
    assert not screened & blocks


def test_a_disagreeing_candidate_is_screened_but_never_combined(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner(wrong_constants))
    study.run()
    wrong = [r for r in study.records() if "parameters" in r.configuration.settings]
    assert [r.role for r in wrong] == ["screen"]
    assert wrong[0].outcome is Outcome.DISAGREES
    assert_nothing_is_better(best_settings(study), without="parameters")


def test_parts_are_measured_for_the_best_and_for_stock_and_checked(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner())
    study.run()
    best = best_settings(study)
    parts = roles(study.records(), "parts")
    assert [r.configuration.settings for r in parts] == [best, {}]
    assert all(r.part_times_s for r in parts)
    (check,) = roles(study.records(), "check")
    assert check.configuration.settings == best
    assert check.workload.fidelity["levels"] == 6


@pytest.mark.parametrize("starts", [12, 20, 40, 80])
def test_a_study_stays_within_its_budget(tmp_path: Path, starts: int) -> None:
    budget_s = starts * START_S
    runner = WatchedRunner()
    begin_s = runner.now_s()
    study = make_study(tmp_path, runner, budget_s)
    study.run()
    assert runner.now_s() - begin_s <= budget_s
    assert study.recommendation().best is not None


def test_a_finished_study_costs_nothing_to_repeat(tmp_path: Path) -> None:
    make_study(tmp_path, WatchedRunner()).run()
    again = WatchedRunner()
    study = make_study(tmp_path, again)
    study.run()
    assert again.opened == []
    assert_nothing_is_better(best_settings(study))


def test_a_finished_study_leaves_no_compiled_programs(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner())
    (study.compiled_folder / "digest").mkdir(parents=True)
    (study.compiled_folder / "digest" / "program").touch()
    study.run()
    assert not study.compiled_folder.exists()


def test_a_knob_that_was_added_later_is_tried_in_a_settled_folder(tmp_path: Path) -> None:
    added: Change = (("parameters", "constants"),)
    changes = [change for change in CHANGES if "allocator" not in dict(change)]
    older = [change for change in changes if change != added]
    make_study(tmp_path, WatchedRunner(), changes=older).run()
    again = WatchedRunner(number=1000)
    study = make_study(tmp_path, again, changes=changes)
    study.run()
    assert best_settings(study) == {"parameters": "constants", "precision": "bfloat16"}
    # No change is screened again without the knob.
    screened = [one.as_dict() for role, one in again.opened if role == "screen"]
    assert screened
    assert all("parameters" in settings for settings in screened)


def test_a_larger_budget_continues_with_the_untried_changes(tmp_path: Path) -> None:
    short = make_study(tmp_path, WatchedRunner(), 5 * START_S, extrapolate=False)
    short.run()
    assert any(
        "not tried, because the budget is too short" in reason for reason in short.unfinished
    )
    again = WatchedRunner(number=100)
    study = make_study(tmp_path, again, AMPLE_S, extrapolate=False)
    study.run()
    assert_nothing_is_better(best_settings(study))
    assert study.unfinished == ()


def test_a_repeated_study_reports_again_what_it_left_undone(tmp_path: Path) -> None:
    short = make_study(tmp_path, WatchedRunner(), SHORT_S, extrapolate=False)
    short.run()
    again = WatchedRunner(number=100)
    study = make_study(tmp_path, again, SHORT_S, extrapolate=False)
    study.run()
    assert again.opened == []
    assert study.unfinished


def test_a_loaded_machine_uses_its_budget_and_reports_what_is_missing(tmp_path: Path) -> None:
    runner = WatchedRunner(sweep=_slowed(60.0))
    begin_s = runner.now_s()
    study = make_study(tmp_path, runner, 1200.0)
    study.run()
    assert runner.now_s() - begin_s > 600.0
    assert roles(study.records(), "screen")
    assert study.recommendation().sentence != (
        "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    )
    assert any("not tried" in reason for reason in study.unfinished)


def test_a_budget_too_short_for_a_candidate_claims_nothing(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner(), 1.5 * START_S, extrapolate=False)
    study.run()
    assert not roles(study.records(), "screen")
    assert study.recommendation().sentence == (
        "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    )
    assert "not tried, because the budget is too short" in study.unfinished[0]


def _calls_of_a_whole_run(folder: Path) -> int:
    runner = WatchedRunner()
    make_study(folder, runner).run()
    return runner.calls


@pytest.mark.parametrize("first", [1, 8, 15, 22])
def test_a_study_resumes_wherever_it_was_interrupted(tmp_path: Path, first: int) -> None:
    calls = _calls_of_a_whole_run(tmp_path / "whole")
    for at in range(first, calls + 1, 28):
        folder = tmp_path / str(at)
        runner = WatchedRunner(interrupt_at=at)
        study = make_study(folder, runner)
        with pytest.raises(KeyboardInterrupt):
            study.run()
        known = study.records()
        resumed = WatchedRunner(number=runner.number)
        study = make_study(folder, resumed)
        study.run()
        assert_nothing_is_better(best_settings(study))
        _assert_nothing_was_measured_twice(known, resumed, at)


def _assert_nothing_was_measured_twice(
    known: list[Record], resumed: WatchedRunner, at: int
) -> None:
    evidence = Evidence.of_records(known)
    bases = {record.configuration.digest for record in roles(known, "base")}
    won = {
        other
        for (base, other), (ratio, rounds) in evidence.round_medians().items()
        if base in bases and ratio > 1.25 and rounds > 1 and other != STOCK.digest
    }
    again = {c.digest for role, c in resumed.opened if role == "screen"}
    assert not again & won, at
    for role in ("reference", "parts", "check"):
        ended = {
            r.configuration.digest
            for r in roles(known, role)
            if r.outcome is not Outcome.INTERRUPTED
        }
        assert not ended & {c.digest for opened, c in resumed.opened if opened == role}, at


def test_where_memory_holds_one_trial_a_block_counts_once(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner(), extrapolate=False, memory_bytes=1.0)
    study.run()
    best = study.recommendation().best
    assert best is not None
    blocks = {record.block for record in roles(study.records(), "confirm")}
    assert best.blocks == len(blocks) >= 6


def test_where_nothing_is_faster_stock_is_recommended(tmp_path: Path) -> None:
    study = make_study(
        tmp_path,
        WatchedRunner(
            lambda role, configuration, entry: entry.model_copy(update={"passes_s": entry.base_s})
        ),
    )
    study.run()
    found = study.recommendation()
    assert found.best is found.stock
    assert (
        found.sentence
        == "Stay with stock: of 7 configurations tried, none was faster at an equal answer."
    )


def test_trials_that_do_not_fit_side_by_side_are_still_compared_in_turns(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner(), extrapolate=False, memory_bytes=1.0)
    study.run()
    best = study.recommendation().best
    assert best is not None
    assert_nothing_is_better(best.settings)
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(1 / recorded_ratio(best.settings))

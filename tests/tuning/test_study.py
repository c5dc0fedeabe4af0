"""Studies on replayed trials: what they find, what they cost, how they resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.af3.model import AlphaFold3
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.tuning.search.coordinate_ascent import CoordinateAscent
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.strategy import Change, SearchSpace
from perfkit.tuning.study import Study
from perfkit.tuning.study_plan import StudyPlan
from tests.support.replay import WORKLOAD, Behaviour, Listener, ReplayRunner, roles

STOCK_S = 30.0
FACTORS = {
    ("bucket", "exact"): 0.5,
    ("msa_rows", "needed"): 0.8,
    ("atom_slots", "needed"): 1.0,
    ("precision", "float32"): 1.5,
    ("allocator", "glibc-keep"): 0.7,
    ("xla_cpu_use_onednn", "true"): 0.9,
    ("xla_cpu_use_xnnpack", "false"): 1.1,
    ("parameters", "constants"): 0.5,
}
OWN: Change = (("bucket", "exact"), ("msa_rows", "needed"), ("atom_slots", "needed"))
CHANGES: tuple[Change, ...] = (
    OWN,
    *((setting,) for setting in OWN),
    (("allocator", "glibc-keep"),),
    (("xla_cpu_use_onednn", "true"),),
    (("parameters", "constants"),),
    (("xla_cpu_use_xnnpack", "false"),),
)
PLANTED = {
    "bucket": "exact",
    "msa_rows": "needed",
    "atom_slots": "needed",
    "allocator": "glibc-keep",
    "xla_cpu_use_onednn": "true",
}
"""The fastest configuration that agrees: 30 s x 0.5 x 0.8 x 0.7 x 0.9 = 7.56 s."""

AMPLE_S = 100_000.0
AMPLE_BYTES = 1e15


def planted(configuration: Configuration) -> Behaviour:
    """Each setting has its factor; baked-in parameters are fast and wrong."""
    seconds = STOCK_S
    for setting in configuration.settings:
        seconds *= FACTORS[setting]
    wrong = configuration.as_dict().get("parameters") == "constants"
    return Behaviour(seconds, Outcome.DISAGREES if wrong else Outcome.OK)


def _study(
    folder: Path,
    runner: ReplayRunner,
    budget_s: float = AMPLE_S,
    *,
    extrapolate: bool = True,
    changes: Sequence[Change] = CHANGES,
    memory_bytes: float = AMPLE_BYTES,
) -> Study:
    model = AlphaFold3()
    catalogue, store = Catalogue(model.knobs), Store(folder)
    plan = StudyPlan(model, catalogue, WORKLOAD, store, budget_s, memory_bytes, extrapolate)
    space = SearchSpace(catalogue, tuple(changes))
    return Study(plan, CoordinateAscent(), runner, Listener(), space)


def _best_settings(study: Study) -> dict[str, str]:
    best = study.recommendation().best
    assert best is not None
    return best.settings


def test_the_planted_best_combination_is_found(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(planted))
    study.run()
    best = study.recommendation().best
    assert best is not None
    assert best.settings == PLANTED
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(30.0 / 7.56)
    assert best.speedup.ends == pytest.approx((30.0 / 7.56, 30.0 / 7.56))
    assert best.time_s is not None
    assert best.time_s.median == pytest.approx(7.56)


def test_the_best_is_confirmed_in_processes_started_for_each_block(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(planted))
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
    study = _study(tmp_path, ReplayRunner(planted))
    study.run()
    wrong = [r for r in study.records() if "parameters" in r.configuration.settings]
    assert [r.role for r in wrong] == ["screen"]
    assert wrong[0].outcome is Outcome.DISAGREES


def test_parts_are_measured_for_the_best_and_for_stock_and_checked(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(planted))
    study.run()
    parts = roles(study.records(), "parts")
    assert [r.configuration.settings for r in parts] == [PLANTED, {}]
    assert all(r.part_times_s for r in parts)
    (check,) = roles(study.records(), "check")
    assert check.configuration.settings == PLANTED
    assert check.workload.fidelity["steps"] == 10


@pytest.mark.parametrize("budget_s", [700.0, 1000.0, 1500.0, 3000.0])
def test_a_study_stays_within_its_budget(tmp_path: Path, budget_s: float) -> None:
    runner = ReplayRunner(planted)
    begin_s = runner.now_s()
    study = _study(tmp_path, runner, budget_s)
    study.run()
    assert runner.now_s() - begin_s <= budget_s
    assert study.recommendation().best is not None


def test_a_finished_study_costs_nothing_to_repeat(tmp_path: Path) -> None:
    _study(tmp_path, ReplayRunner(planted)).run()
    again = ReplayRunner(planted)
    study = _study(tmp_path, again)
    study.run()
    assert again.opened == []
    assert _best_settings(study) == PLANTED


def test_a_finished_study_leaves_no_compiled_programs(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(planted))
    (study.compiled_folder / "digest").mkdir(parents=True)
    (study.compiled_folder / "digest" / "program").touch()
    study.run()
    assert not study.compiled_folder.exists()


def test_a_knob_that_was_added_later_is_tried_in_a_settled_folder(tmp_path: Path) -> None:
    older = [change for change in CHANGES if change != (("allocator", "glibc-keep"),)]
    _study(tmp_path, ReplayRunner(planted), changes=older).run()
    again = ReplayRunner(planted, number=1000)
    study = _study(tmp_path, again)
    study.run()
    assert _best_settings(study) == PLANTED
    # No measured change is screened again.
    assert [c.as_dict() for role, c in again.opened if role == "screen"] == [PLANTED]


def test_a_larger_budget_continues_with_the_untried_changes(tmp_path: Path) -> None:
    short = _study(tmp_path, ReplayRunner(planted), 300.0, extrapolate=False)
    short.run()
    assert any(
        "not tried, because the budget is too short" in reason for reason in short.unfinished
    )
    again = ReplayRunner(planted, number=100)
    study = _study(tmp_path, again, AMPLE_S, extrapolate=False)
    study.run()
    assert _best_settings(study) == PLANTED
    assert study.unfinished == ()


def test_a_repeated_study_reports_again_what_it_left_undone(tmp_path: Path) -> None:
    short = _study(tmp_path, ReplayRunner(planted), 300.0, extrapolate=False)
    short.run()
    again = ReplayRunner(planted, number=100)
    study = _study(tmp_path, again, 300.0, extrapolate=False)
    study.run()
    assert again.opened == []
    assert study.unfinished


def _loaded(configuration: Configuration) -> Behaviour:
    """A machine on which a pass of stock takes two minutes."""
    return Behaviour(4 * planted(configuration).seconds)


def test_a_loaded_machine_uses_its_budget_and_reports_what_is_missing(tmp_path: Path) -> None:
    runner = ReplayRunner(_loaded)
    begin_s = runner.now_s()
    study = _study(tmp_path, runner, 1200.0)
    study.run()
    assert runner.now_s() - begin_s > 600.0
    assert roles(study.records(), "screen")
    assert study.recommendation().sentence != (
        "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    )
    assert any("not tried" in reason for reason in study.unfinished)


def test_a_budget_too_short_for_a_candidate_claims_nothing(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(planted), 80.0, extrapolate=False)
    study.run()
    assert not roles(study.records(), "screen")
    assert study.recommendation().sentence == (
        "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    )
    assert "not tried, because the budget is too short" in study.unfinished[0]


def _calls_of_a_whole_run(folder: Path) -> int:
    runner = ReplayRunner(planted)
    _study(folder, runner).run()
    return runner.calls


@pytest.mark.parametrize("first", [1, 8, 15, 22])
def test_a_study_resumes_wherever_it_was_interrupted(tmp_path: Path, first: int) -> None:
    calls = _calls_of_a_whole_run(tmp_path / "whole")
    for at in range(first, calls + 1, 28):
        folder = tmp_path / str(at)
        runner = ReplayRunner(planted, interrupt_at=at)
        study = _study(folder, runner)
        with pytest.raises(KeyboardInterrupt):
            study.run()
        known = study.records()
        resumed = ReplayRunner(planted, number=runner.number)
        study = _study(folder, resumed)
        study.run()
        assert _best_settings(study) == PLANTED, at
        _assert_nothing_was_measured_twice(known, resumed, at)


def _assert_nothing_was_measured_twice(known: list[Record], resumed: ReplayRunner, at: int) -> None:
    evidence = Evidence.of_records(known)
    won = {
        other
        for (_, other), (ratio, rounds) in evidence.round_medians().items()
        if ratio > 1.25 and rounds > 1 and other != STOCK.digest
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


def _dying(which: Callable[[Configuration], bool], passes: int, times: int) -> ReplayRunner:
    """A runner whose first ``times`` trials of some configurations die after ``passes`` passes."""
    left = {"times": times}

    def table(configuration: Configuration) -> Behaviour:
        if which(configuration) and left["times"] > 0:
            left["times"] -= 1
            return Behaviour(planted(configuration).seconds, dies_after=passes)
        return planted(configuration)

    return ReplayRunner(table)


def test_stock_that_was_killed_once_is_tried_again(tmp_path: Path) -> None:
    study = _study(tmp_path, _dying(lambda one: one == STOCK, 0, 1))
    study.run()
    assert _best_settings(study) == PLANTED


def test_a_reference_that_was_killed_once_is_made_again(tmp_path: Path) -> None:
    runner = _dying(lambda one: one.as_dict() == {"precision": "float32"}, 0, 1)
    study = _study(tmp_path, runner)
    study.run()
    outcomes = [record.outcome for record in roles(study.records(), "reference")]
    assert outcomes == [Outcome.CRASHED, Outcome.OK]
    assert _best_settings(study) == PLANTED


def test_a_candidate_that_was_killed_once_is_tried_again(tmp_path: Path) -> None:
    study = _study(tmp_path, _dying(lambda one: "allocator" in one.as_dict(), 1, 1))
    study.run()
    assert _best_settings(study) == PLANTED


def test_stock_that_always_crashes_ends_the_study_without_a_recommendation(tmp_path: Path) -> None:
    study = _study(tmp_path, _dying(lambda one: one == STOCK, 0, 99))
    study.run()
    found = study.recommendation()
    assert found.best is None
    assert "stock ended crashed" in found.sentence
    assert study.unfinished[0].startswith("stock failed in its last trials")


@pytest.mark.parametrize("which", [{}, {"precision": "float32"}])
def test_stock_or_a_reference_that_failed_twice_is_tried_again_by_the_next_call(
    tmp_path: Path, which: dict[str, str]
) -> None:
    study = _study(tmp_path, _dying(lambda one: one.as_dict() == which, 0, 2))
    study.run()
    best = study.recommendation().best
    assert best is None or not best.settings
    assert "same command to try again" in study.unfinished[0]
    study = _study(tmp_path, ReplayRunner(planted, number=1000))
    study.run()
    assert _best_settings(study) == PLANTED


def test_a_candidate_whose_passes_are_all_disturbed_is_given_up(tmp_path: Path) -> None:
    def table(configuration: Configuration) -> Behaviour:
        disturbed = configuration.as_dict().get("allocator") == "glibc-keep"
        return Behaviour(planted(configuration).seconds, disturbed=disturbed)

    study = _study(tmp_path, ReplayRunner(table), extrapolate=False)
    study.run()
    screened = [r for r in roles(study.records(), "screen") if not r.steady]
    digests = [record.configuration.digest for record in screened]
    assert max(digests.count(one) for one in digests) == 2
    assert any("disturbed by other programs" in reason for reason in study.unfinished)


def test_where_memory_holds_one_trial_a_block_counts_once(tmp_path: Path) -> None:
    def quick(configuration: Configuration) -> Behaviour:
        return Behaviour(planted(configuration).seconds / 30)

    study = _study(tmp_path, ReplayRunner(quick), extrapolate=False, memory_bytes=1.0)
    study.run()
    best = study.recommendation().best
    assert best is not None
    blocks = {record.block for record in roles(study.records(), "confirm")}
    assert best.blocks == len(blocks) >= 6


def test_a_candidate_that_always_crashes_is_left_out(tmp_path: Path) -> None:
    study = _study(tmp_path, _dying(lambda one: "allocator" in one.as_dict(), 1, 99))
    study.run()
    assert _best_settings(study) == {k: v for k, v in PLANTED.items() if k != "allocator"}
    # Each configuration with the allocator was tried twice.
    crashed = [r.configuration.digest for r in study.records() if r.outcome is Outcome.CRASHED]
    assert max(crashed.count(digest) for digest in crashed) == 2


def test_where_nothing_is_faster_stock_is_recommended(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(lambda configuration: Behaviour(30.0)))
    study.run()
    found = study.recommendation()
    assert found.best is found.stock
    assert (
        found.sentence
        == "Stay with stock: of 8 configurations tried, none was faster at an equal answer."
    )


def test_trials_that_do_not_fit_side_by_side_are_still_compared_in_turns(tmp_path: Path) -> None:
    study = _study(tmp_path, ReplayRunner(planted), extrapolate=False, memory_bytes=1.0)
    study.run()
    best = study.recommendation().best
    assert best is not None
    assert best.settings == PLANTED
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(30.0 / 7.56)

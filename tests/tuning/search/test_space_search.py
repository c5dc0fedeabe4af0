"""Strategies over the whole space, on a replayed sweep with an optimum of two partners."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.simulated import MemoryStore
from perfkit.records.schema import Outcome
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.registry import STRATEGIES, make_strategy
from perfkit.tuning.search.strategy import (
    SearchSpace,
    Strategy,
)
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan
from tests.support.coverage_of_space import coverage_text
from tests.support.partners import (
    CATALOGUE,
    CHANGES,
    MODEL,
    OPTIMUM,
    OVER_THE_SPACE,
    SPACE,
    partners,
)
from tests.support.replay import WORKLOAD, Listener, WatchedRunner, roles


def _runner(*, number: int = 0, interrupt_at: int | None = None) -> WatchedRunner:
    """Replays the sweep of the partners."""
    return WatchedRunner(number=number, interrupt_at=interrupt_at, sweep=partners(), model=MODEL)


def _study(
    store: MemoryStore,
    strategy: Strategy,
    runner: WatchedRunner,
    budget_s: float = 1e5,
    space: SearchSpace = SPACE,
) -> Study:
    plan = StudyPlan(MODEL, CATALOGUE, WORKLOAD, store, budget_s, 1e15, extrapolate=False)
    return Study(plan, strategy, runner, Listener(), space)


@pytest.mark.parametrize("name", OVER_THE_SPACE)
def test_settings_that_gain_only_together_are_found(tmp_path: Path, name: str) -> None:
    study = _study(MemoryStore(tmp_path), make_strategy(name), _runner())
    study.run()
    best = study.recommendation().best
    assert best is not None
    assert best.settings == OPTIMUM
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(30.0 / 9.0)
    assert best.blocks >= 6
    assert study.unfinished == ()


@pytest.mark.parametrize("name", ["grid", "random"])
def test_an_enumeration_looks_at_each_configuration_and_at_none_twice(
    tmp_path: Path, name: str
) -> None:
    study = _study(MemoryStore(tmp_path), make_strategy(name), _runner())
    study.run()
    evidence = Evidence.of_records(study.records())
    assert coverage_text(evidence, SPACE) == "looked at 23 of 23 configurations"
    screened = [record.configuration.digest for record in roles(study.records(), "screen")]
    wrong = [one for one in study.records() if one.outcome is Outcome.DISAGREES]
    # Half of the combinations are wrong; each is found out once.
    assert len(wrong) == len({one.configuration.digest for one in wrong}) == 12
    assert len(set(screened)) == 23


@pytest.mark.parametrize("name", ["screen+tpe", "random"])
def test_a_knob_that_has_to_be_set_is_set_in_every_candidate(tmp_path: Path, name: str) -> None:
    keep, hugepages = (("allocator", "glibc-keep"),), (("allocator", "glibc-hugepages"),)
    others = [change for change in CHANGES if change not in (keep, hugepages)]
    changes = (keep, hugepages, *((*change, *keep) for change in others))
    space = SearchSpace(CATALOGUE, changes, required=frozenset({"allocator"}))
    # Stock, and 2 x 2 x 2 x 2 configurations with one of the two allocators.
    assert space.size == 17
    study = _study(MemoryStore(tmp_path), make_strategy(name), _runner(), space=space)
    study.run()
    screened = roles(study.records(), "screen")
    assert all("allocator" in record.configuration.settings for record in screened)
    best = study.recommendation().best
    assert best is not None
    assert best.settings == OPTIMUM


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_short_budget_reports_what_is_left_and_a_larger_one_continues(
    tmp_path: Path, name: str
) -> None:
    store = MemoryStore(tmp_path)
    begin_s = (runner := _runner()).now_s()
    short = _study(store, make_strategy(name), runner, 350.0)
    short.run()
    assert runner.now_s() - begin_s <= 350.0
    assert "because the budget is too short" in short.unfinished[0]
    again = _runner(number=runner.number)
    longer = _study(store, make_strategy(name), again)
    longer.run()
    assert longer.unfinished == ()
    seen = {
        s for settings in Evidence.of_records(longer.records()).looked_at.values() for s in settings
    }
    assert seen == {setting for change in CHANGES for setting in change}


@pytest.mark.parametrize("name", OVER_THE_SPACE)
def test_an_interrupted_study_resumes(tmp_path: Path, name: str) -> None:
    store = MemoryStore(tmp_path)
    runner = _runner(interrupt_at=60)
    with pytest.raises(KeyboardInterrupt):
        _study(store, make_strategy(name), runner).run()
    study = _study(store, make_strategy(name), _runner(number=runner.number))
    study.run()
    best = study.recommendation().best
    assert best is not None
    assert best.settings == OPTIMUM

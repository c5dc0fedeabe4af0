"""A strategy is a value: a study takes any, and settles each search of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.records.store import Store
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.registry import STRATEGIES, make_strategy
from perfkit.tuning.search.strategy import Budget, Confirm, Decision, Screen, SearchSpace, Stop
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan
from tests.support.replay import MODEL, RECORDED, Listener, WatchedRunner, roles
from tests.support.strategies import EveryRound

BLOCKS = 6


class EachOnce(EveryRound):
    """Screens every change on stock for two rounds, then confirms the first one."""

    name = "each-once"

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """The next change without a pass, then confirmation blocks, then stop."""
        stock = space.catalogue.configuration({})
        candidates = [space.changed(stock, change) for change in space.changes]
        for candidate in candidates:
            if not evidence.screened(stock.digest, candidate.digest):
                return Screen(stock, (candidate,), rounds_most=2)
        if len(evidence.confirmed(stock.digest, candidates[0].digest)) < BLOCKS:
            return Confirm((candidates[0],), passes=1)
        return Stop()


def _study(folder: Path, runner: WatchedRunner, values: tuple[str, ...] = ("bfloat16",)) -> Study:
    catalogue = Catalogue(MODEL.knobs)
    plan = StudyPlan(MODEL, catalogue, RECORDED, Store(folder), 1e5, 1e15, extrapolate=False)
    space = SearchSpace(catalogue, tuple((("precision", value),) for value in values))
    return Study(plan, EachOnce(), runner, Listener(), space)


def test_a_study_executes_what_another_strategy_decides(tmp_path: Path) -> None:
    study = _study(tmp_path, WatchedRunner(), ("bfloat16", "bfloat16_network"))
    study.run()
    screened = roles(study.records(), "screen")
    assert [one.configuration.settings["precision"] for one in screened] == [
        "bfloat16",
        "bfloat16_network",
    ]
    assert [len(one.steady) for one in screened] == [2, 2]
    best = study.recommendation().best
    assert best is not None
    assert best.settings == {"precision": "bfloat16"}
    assert best.blocks == BLOCKS


def test_a_settled_study_is_searched_again_in_another_space_or_by_another_strategy(
    tmp_path: Path,
) -> None:
    _study(tmp_path, WatchedRunner()).run()
    settled = WatchedRunner(number=100)
    _study(tmp_path, settled).run()
    assert settled.opened == []
    wider = WatchedRunner(number=200)
    _study(tmp_path, wider, ("bfloat16", "bfloat16_network")).run()
    assert ("screen", "precision=bfloat16_network") in [
        (role, one.label) for role, one in wider.opened
    ]
    catalogue = Catalogue(MODEL.knobs)
    plan = StudyPlan(MODEL, catalogue, RECORDED, Store(tmp_path), 1e5, 1e15, extrapolate=False)
    space = SearchSpace(catalogue, ((("precision", "bfloat16"),),))
    other = WatchedRunner(number=300)
    Study(plan, make_strategy("coordinate-ascent"), other, Listener(), space).run()
    marks = sorted(path.name for path in tmp_path.glob("settled-*"))
    # One mark for each of the three searches, all of one study.
    assert len(marks) == 3
    assert len({name.rsplit("-", 1)[0] for name in marks}) == 1


def test_every_registered_strategy_has_the_name_it_is_registered_under() -> None:
    assert {name: make_strategy(name).name for name in STRATEGIES} == {
        "coordinate-ascent": "coordinate-ascent",
        "screen+tpe": "screen+tpe",
        "gp": "gp",
        "grid": "grid",
        "random": "random",
    }


def test_an_unknown_strategy_is_refused_with_the_nearest() -> None:
    message = "unknown strategy 'coordinate-descent'; the nearest is 'coordinate-ascent'"
    with pytest.raises(UserError, match=message):
        make_strategy("coordinate-descent")

"""Trials of a fit: how many passes they make, and which of repeated trials are kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration
from perfkit.capacity.laws.fit_plan import FitPlan
from perfkit.capacity.laws.measure import FitMeasurement
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.models.workload import Workload
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.studies.progress import SilentProgress
from tests.support.planted import record
from tests.support.replay import MODEL, RECORDED, Alter, WatchedRunner, as_recorded, dying

ROUNDS = 5


class OneCpu(WatchedRunner):
    """Replays trials on a machine with one CPU, where nothing runs at the same time."""

    cpus = 1

    def __init__(self, alter: Alter, factors: Sequence[float]) -> None:
        super().__init__(alter)
        self._factors = itertools.cycle(factors)

    def noise(self, entry: RecordedConfiguration) -> float:
        """The given factors in turn."""
        return next(self._factors)

    def compiled(
        self, workload: Workload, configuration: Configuration, labels: TrialLabels
    ) -> Record:
        raise NotImplementedError

    def together(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        rounds: int,
        files: TrialFiles,
    ) -> list[Record]:
        raise NotImplementedError


def plan_in(folder: Path, repeats: int = 1) -> FitPlan:
    """A fit of one workload."""
    return FitPlan(
        model=MODEL,
        workloads=(RECORDED,),
        held_out=(),
        compiled=(),
        configuration=STOCK,
        cpu_counts=(),
        store=Store(folder),
        rounds=ROUNDS,
        cached=False,
        repeats=repeats,
    )


def measurement(
    plan: FitPlan, alter: Alter = as_recorded, factors: Sequence[float] = (1.0,)
) -> FitMeasurement:
    """A measurement whose passes take the recorded seconds times factors, in turn."""
    return FitMeasurement(plan, OneCpu(alter, factors), SilentProgress())


@pytest.mark.parametrize(
    ("factors", "made"),
    [
        ([10.0, 10.1, 9.9, 10.0, 10.2] * 4, 5),
        ([10.0, 13.0] * 20, 20),
        ([10.0, 13.0, 10.0, 13.0, 10.0] + [10.0] * 20, 15),
    ],
    ids=["settled", "never settles", "settles later"],
)
def test_passes_go_on_until_their_median_has_settled(
    tmp_path: Path, factors: Sequence[float], made: int
) -> None:
    plan = plan_in(tmp_path)
    measurement(plan, factors=factors).run()
    (kept,) = plan.store.records()
    assert len(kept.steady) == made
    assert kept.part_times_s is not None


@pytest.mark.parametrize("passes", [0, 3])
def test_a_trial_that_dies_makes_no_more_passes_and_is_not_repeated(
    tmp_path: Path, passes: int
) -> None:
    plan = plan_in(tmp_path)
    for _ in range(2):
        measurement(plan, lambda role, configuration, entry: dying(entry, passes)).run()
    (kept,) = plan.store.records()
    assert len(kept.steady) == passes


def test_what_the_store_holds_is_not_measured_again(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, repeats=2)
    for _ in range(2):
        measurement(plan).run()
    assert [len(one.steady) for one in plan.store.records()] == [ROUNDS, ROUNDS]


def _keep(plan: FitPlan, records: Sequence[Record]) -> None:
    for one in records:
        plan.store.append(one.model_copy(update={"study": plan.study}))


@pytest.mark.parametrize("place", [0, 2])
def test_a_trial_with_more_passes_replaces_one_that_had_not_settled(
    tmp_path: Path, place: int
) -> None:
    short, other = record(32), record(64)
    long = record(32).model_copy(
        update={"stages": [*short.stages, *short.steady], "id": "the longer one"}
    )
    assert len(long.steady) == 2 * len(short.steady) > 0
    plan = plan_in(tmp_path)
    trials = [short, other]
    trials.insert(place, long)
    _keep(plan, trials)
    found = measurement(plan).records()
    assert sorted(one.workload.size for one in found) == [32, 64]
    assert next(one for one in found if one.workload.size == 32).id == long.id


def test_only_the_wanted_number_of_trials_is_kept(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, repeats=3)
    _keep(plan, [record(32).model_copy(update={"id": f"{number}"}) for number in range(4)])
    assert [one.id for one in measurement(plan).records()] == ["1", "2", "3"]

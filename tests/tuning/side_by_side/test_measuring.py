"""Measuring instances side by side, on a virtual clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.replayed import ReplayedTrial
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.topology import Place
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.side_by_side.instances import (
    best_instances,
    measured_instances,
)
from perfkit.tuning.side_by_side.measuring import InstanceCosts, instance_counts, measure_instances
from perfkit.tuning.studies.study_plan import StudyPlan
from tests.support.replay import MODEL, Listener, WatchedRunner
from tests.support.tiny_sweep import WORKLOAD, tiny_sweep

FOUR_CPUS = tuple(Place(0, cpu, cpu) for cpu in range(4))


class _SideBySide(ReplayedTrial):
    """A trial whose pass takes longer the more instances run."""

    def __init__(
        self,
        runner: _Runner,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> None:
        super().__init__(runner, workload, configuration, labels, files)
        self._seconds = runner.seconds(labels.instances)

    def first_pass_s(self) -> float:
        """As any other pass."""
        return self._seconds

    def pass_s(self) -> float:
        """The seconds for this number of instances."""
        return self._seconds

    def outcome(self) -> Outcome:
        """A very long pass stands for memory that is too small."""
        return Outcome.OK if self._seconds < 1000 else Outcome.OUT_OF_MEMORY


class _Runner(WatchedRunner):
    """Instances whose passes take a number of seconds that depends on how many there are."""

    def __init__(self, seconds: Callable[[int], float], interrupt_at: int | None = None) -> None:
        super().__init__(interrupt_at=interrupt_at, sweep=tiny_sweep())
        self.seconds = seconds
        self.labels: list[TrialLabels] = []
        self.folders: set[str] = set()

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> _SideBySide:
        """A trial that has not been started."""
        with self.lock:
            self.labels.append(labels)
            assert files.compile_cache is not None
            self.folders.add(files.compile_cache.name)
        return _SideBySide(self, workload, configuration, labels, files)


class _Bound:
    """Collects the CPUs that threads are bound to."""

    def __init__(self) -> None:
        self.cpus: set[tuple[int, ...]] = set()

    def __call__(self, cpus: Sequence[int]) -> None:
        self.cpus.add(tuple(cpus))


def _plan(folder: Path, memory_bytes: float = 1e12) -> StudyPlan:
    catalogue = Catalogue(MODEL.knobs)
    goal = make_goal("throughput")
    return StudyPlan(
        MODEL, catalogue, WORKLOAD, Store(folder), 1e9, memory_bytes, extrapolate=False, goal=goal
    )


def _measure(
    plan: StudyPlan,
    runner: _Runner,
    *,
    budget_s: float = 1e9,
    bound: _Bound | None = None,
    listener: Listener | None = None,
) -> dict[int, int]:
    """Measure on four CPUs; number of instances to the number of its blocks."""
    deadline_s = runner.now_s() + budget_s
    measure_instances(
        runner,
        plan,
        STOCK,
        1_000_000_000,
        InstanceCosts(start_s=5.0, pass_s=4.0),
        remaining_s=lambda: deadline_s - runner.now_s(),
        progress=listener or Listener(),
        cache=plan.store.folder / "compiled",
        where=FOUR_CPUS,
        bind=bound or _Bound(),
    )
    found = measured_instances(plan.store.records(), STOCK.digest)
    return {one.count: len(one.blocks_per_hour) for one in found}


def _clear(count: int) -> float:
    """Alone 4 s; two in 5 s are best; four in 20 s are far worse."""
    return {1: 4.0, 2: 5.0, 4: 20.0}[count]


def test_every_number_of_instances_is_measured_until_the_best_is_sure(tmp_path: Path) -> None:
    bound, runner = _Bound(), _Runner(_clear)
    blocks = _measure(_plan(tmp_path), runner, bound=bound)
    # 900, 1440 and 720 an hour. After two turns below 0.85 of 1440, four are left out; that two are
    # better than one needs six turns.
    assert blocks == {1: 6, 2: 6, 4: 2}
    best = best_instances(
        measured_instances(Store(tmp_path).records(), STOCK.digest), lambda cpus, memory_bytes: 1.0
    )
    assert best is not None
    assert best.count == 2
    assert bound.cpus == {(0, 1, 2, 3), (0, 1), (2, 3), (0,), (1,), (2,), (3,)}
    # Each size of the thread pool has a compilation cache of its own.
    assert runner.folders == {f"{STOCK.digest}-{cpus}" for cpus in (4, 2, 1)}


def test_close_numbers_are_measured_until_there_is_an_interval(tmp_path: Path) -> None:
    # 900 and 960 an hour.
    blocks = _measure(_plan(tmp_path), _Runner(lambda count: {1: 4.0, 2: 7.5, 4: 20.0}[count]))
    assert blocks == {1: 6, 2: 6, 4: 2}


def test_equal_numbers_are_given_up_after_twelve_turns(tmp_path: Path) -> None:
    blocks = _measure(_plan(tmp_path), _Runner(lambda count: 4.0 * count))
    assert blocks == {1: 12, 2: 12, 4: 12}


def test_turns_alternate_in_order(tmp_path: Path) -> None:
    runner = _Runner(lambda count: 4.0 * count)
    _measure(_plan(tmp_path), runner)
    blocks = [labels.instances for labels, _ in itertools.groupby(runner.labels)]
    assert blocks[:6] == [1, 2, 4, 4, 2, 1]
    assert {labels.role for labels in runner.labels} == {Role.TOGETHER}
    assert all(labels.shared_start == (labels.instances > 1) for labels in runner.labels)


def test_instances_that_do_not_fit_into_memory_are_left_out_and_named(tmp_path: Path) -> None:
    listener = Listener()
    blocks = _measure(_plan(tmp_path, memory_bytes=3e9), _Runner(_clear), listener=listener)
    assert set(blocks) == {1, 2}
    assert listener.said == [
        "not measured: 4 instances with a peak of 1.0 GB each cannot run in 3.0 GB of memory, at "
        "10 % of margin"
    ]


def test_a_number_of_instances_that_fails_is_not_tried_again(tmp_path: Path) -> None:
    runner = _Runner(lambda count: {1: 4.0, 2: 7.5, 4: 5000.0}[count])
    assert _measure(_plan(tmp_path), runner) == {1: 6, 2: 6}
    assert sum(labels.instances == 4 for labels in runner.labels) == 4


def test_a_budget_that_is_too_short_is_said(tmp_path: Path) -> None:
    listener = Listener()
    assert _measure(_plan(tmp_path), _Runner(_clear), budget_s=10.0, listener=listener) == {}
    assert listener.said[-1].startswith(
        "the budget is too short to measure instances side by side any further"
    )


def test_measuring_again_continues_and_then_measures_nothing(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    close = {1: 4.0, 2: 7.5, 4: 20.0}
    first = _Runner(close.__getitem__)
    # A turn starts processes for 7 instances, each with its start and three passes.
    assert 0 < min(_measure(plan, first, budget_s=600.0).values()) < 6
    second = _Runner(close.__getitem__)
    second.number = first.number
    assert _measure(plan, second) == {1: 6, 2: 6, 4: 2}
    third = _Runner(close.__getitem__)
    assert _measure(plan, third) == {1: 6, 2: 6, 4: 2}
    assert third.labels == []


def test_an_interrupt_keeps_the_records_and_a_later_call_completes_the_turn(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    interrupted = _Runner(lambda count: 4.0 * count, interrupt_at=60)
    with pytest.raises(KeyboardInterrupt):
        _measure(plan, interrupted)
    kept = plan.store.records()
    assert kept
    resumed = _Runner(lambda count: 4.0 * count)
    resumed.number = interrupted.number + 100
    assert _measure(plan, resumed) == {1: 12, 2: 12, 4: 12}
    assert plan.store.records()[: len(kept)] == kept


def test_a_configuration_on_few_cpus_has_no_smaller_shares() -> None:
    on_two = Catalogue(()).configuration({"cpus": "2"})
    assert instance_counts(on_two, 1, 1e9, FOUR_CPUS) == (1, 2)
    assert instance_counts(STOCK, 1, 1e9, FOUR_CPUS) == (1, 2, 4)
    assert instance_counts(STOCK, 10**9, 2.5e9, FOUR_CPUS) == (1, 2)


def test_a_turn_is_expected_to_take_as_long_as_one_instance_after_another() -> None:
    costs = InstanceCosts(start_s=10.0, pass_s=2.0)
    # As many passes as fit into a start.
    assert costs.rounds == 5
    # One instance: 10 s and 6 passes; two: 10 s and 12 passes.
    assert costs.turn_s([1, 2]) == pytest.approx(10 + 12 + 10 + 24)
    assert costs.least_s([1, 2]) == pytest.approx(6 * 56)
    assert costs.least_s([1]) == 0.0

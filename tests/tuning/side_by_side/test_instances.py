"""Instances side by side: predictions per hour worked out by hand, and how they are measured."""

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
from perfkit.records.schema import DisturbedPass, Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.recommend import recommend
from perfkit.tuning.side_by_side.instances import (
    best_instances,
    instances_sentence,
    measured_instances,
    too_large,
    too_large_sentence,
)
from perfkit.tuning.side_by_side.measuring import InstanceCosts, instance_counts, measure_instances
from perfkit.tuning.study_plan import StudyPlan
from tests.support.confirmations import TWOFOLD, confirmed
from tests.support.replay import MODEL, Listener, WatchedRunner, record
from tests.support.tiny_sweep import WORKLOAD, tiny_sweep

FOUR_CPUS = tuple(Place(0, cpu, cpu) for cpu in range(4))


def _free(cpus: int, memory_bytes: float) -> float:
    """Only the output of the instances counts."""
    return 1.0


def _block(
    name: str, times: Sequence[dict[int, float]], settings: dict[str, str] | None = None
) -> list[Record]:
    """The records of instances that ran at the same time; each has its seconds by round."""
    return [
        record(settings, times=own, role="together", block=name, id=f"{name}{number}").model_copy(
            update={"instances": len(times), "allowed_cpus": 4 // len(times)}
        )
        for number, own in enumerate(times)
    ]


def _blocks(seconds: Sequence[float], count: int) -> list[Record]:
    """Blocks of ``count`` instances, each with one round."""
    return [
        one
        for number, each_s in enumerate(seconds)
        for one in _block(f"{count}-{number}", [{0: each_s}] * count)
    ]


# -- predictions per hour ------------------------------------------------------------------------


def test_a_round_takes_as_long_as_its_slowest_pass() -> None:
    # Two instances: rounds of 10 s, 12 s and 9 s, with a median of 10 s: 720 predictions an hour.
    records = _block("a", [{0: 10.0, 1: 8.0, 2: 9.0}, {0: 7.0, 1: 12.0, 2: 9.0}])
    (found,) = measured_instances(records, STOCK.digest)
    assert (found.count, found.cpus) == (2, 2)
    assert found.blocks_per_hour == pytest.approx((720.0,))


def test_a_round_with_a_repeated_pass_does_not_count() -> None:
    first, second = _block("a", [{0: 10.0, 1: 20.0}, {0: 10.0, 1: 20.0}])
    repeated = DisturbedPass(round=0, wall_s=99.0, reason="stopped")
    second = second.model_copy(update={"disturbed_passes": [repeated]})
    (found,) = measured_instances([first, second], STOCK.digest)
    assert found.blocks_per_hour == pytest.approx((2 * 3600 / 20,))


def test_blocks_that_lack_an_instance_do_not_count() -> None:
    assert measured_instances(_block("a", [{0: 10.0}, {0: 10.0}])[:1], STOCK.digest) == ()


def test_only_instances_of_the_configuration_count() -> None:
    records = _block("a", [{0: 10.0}], {"a": "1"})
    assert measured_instances(records, STOCK.digest) == ()


def test_a_number_of_instances_of_which_one_failed_is_ruled_out() -> None:
    good, bad = _block("a", [{0: 10.0}, {0: 10.0}])
    bad = bad.model_copy(update={"outcome": Outcome.OUT_OF_MEMORY})
    alone = _block("b", [{0: 10.0}])
    (found,) = measured_instances([good, bad, *alone], STOCK.digest)
    assert found.count == 1


def test_the_best_number_is_surely_better_than_fewer() -> None:
    # Alone 4 s: 900 an hour; two in 6 s: 1200 an hour; four in 12 s: 1200 an hour.
    records = [*_blocks([4.0] * 6, 1), *_blocks([6.0] * 6, 2), *_blocks([12.0] * 6, 4)]
    found = measured_instances(records, STOCK.digest)
    assert [one.per_hour.median for one in found] == pytest.approx([900.0, 1200.0, 1200.0])
    best = best_instances(found, _free)
    assert best is not None
    assert best.count == 2
    assert best.gain(found[0]).ends == pytest.approx((4 / 3, 4 / 3))


def test_without_proof_one_instance_is_best() -> None:
    # Five turns have no interval.
    records = [*_blocks([4.0] * 5, 1), *_blocks([6.0] * 5, 2)]
    best = best_instances(measured_instances(records, STOCK.digest), _free)
    assert best is not None
    assert best.count == 1


def test_an_hour_that_costs_more_needs_more_predictions() -> None:
    records = [*_blocks([4.0] * 6, 1), *_blocks([6.0] * 6, 2)]
    found = measured_instances(records, STOCK.digest)
    # Two instances predict 4/3 times as much; memory makes their hour 1.5 times as dear.
    best = best_instances(found, lambda cpus, memory_bytes: 1.5 if cpus == 2 * 2 else 1.0)
    assert best is not None
    assert best.count == 2
    by_count = {one.count * one.cpus: one.count for one in found}
    assert by_count == {4: 2}


@pytest.mark.parametrize(
    ("memory_bytes", "expected"), [(44.0, ()), (43.9, (4,)), (21.0, (2, 4)), (10.0, (1, 2, 4))]
)
def test_instances_need_memory_with_a_margin(
    memory_bytes: float, expected: tuple[int, ...]
) -> None:
    # 10 bytes and a margin of 10 % for each.
    assert too_large([1, 2, 4], 10, memory_bytes) == expected


def test_what_does_not_fit_is_said() -> None:
    assert too_large_sentence(4, 3_000_000_000, 8e9) == (
        "4 instances with a peak of 3.0 GB each cannot run in 8.0 GB of memory, at 10 % of margin"
    )


# -- the recommendation --------------------------------------------------------------------------


FAST = {"a": "1"}
FAST_IN_TWO = [
    *confirmed(FAST, TWOFOLD),
    *(
        one
        for count, each_s in ((1, 4.0), (2, 6.0))
        for turn in range(6)
        for one in _block(f"{count}-{turn}", [{0: each_s}] * count, FAST)
    ),
]
"""A configuration that predicts 900 times per hour alone, and 1200 times in two instances."""


def test_throughput_recommends_the_instances_of_the_fastest_configuration() -> None:
    found = recommend(FAST_IN_TWO, make_goal("throughput"))
    assert found.best is not None
    assert found.best.settings == FAST
    # The times side by side are no times of a prediction that runs alone.
    assert found.best.time_s is not None
    assert found.best.time_s.median == pytest.approx(5.0)
    assert found.chosen_instances is not None
    assert found.chosen_instances.count == 2
    assert found.sentence.endswith(
        "2 instances of 2 CPUs: 1200.0 predictions per hour (95 % interval 1200.0 to 1200.0), 1.33 "
        "times as many as one instance (1.33 to 1.33); 1 instance of 4 CPUs 900.0."
    )
    latency = recommend(FAST_IN_TWO)
    assert latency.chosen_instances is None


def test_the_price_of_a_machine_is_divided_by_what_it_predicts() -> None:
    goal = make_goal("cost", price="2.4")
    found = recommend(FAST_IN_TWO, goal)
    # 2.4 an hour for 1200 predictions.
    assert found.sentence.endswith("A prediction then costs 0.002.")


def test_more_instances_that_are_not_surely_better_are_named() -> None:
    records = [*_blocks([4.0] * 2, 1), *_blocks([6.0] * 2, 2)]
    found = measured_instances(records, STOCK.digest)
    assert instances_sentence(found, found[0]) == (
        "1 instance of 4 CPUs: 900.0 predictions per hour; 2 instances of 2 CPUs 1200.0 (not "
        "surely better)."
    )


def test_throughput_without_instances_says_so() -> None:
    found = recommend(confirmed({"a": "1"}, TWOFOLD), make_goal("throughput"))
    assert found.sentence.endswith("Instances side by side were not measured.")


# -- measuring -----------------------------------------------------------------------------------


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
    best = best_instances(measured_instances(Store(tmp_path).records(), STOCK.digest), _free)
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

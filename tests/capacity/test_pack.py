"""Packing: schedules are feasible and as good as in the literature, and lower bounds hold."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from perfkit.capacity.queue.exact import improve
from perfkit.capacity.queue.pack import (
    Kind,
    Packing,
    Share,
    Task,
    lower_bound_s,
    machine_seconds,
    pack,
)

ONE_CUT = (1,)


def whole(*seconds: float) -> list[Task]:
    """Tasks that take a whole machine."""
    return [Task(((Share(1, each),),)) for each in seconds]


def check_possible(packing: Packing, tasks: Sequence[Task], kinds: Sequence[Kind]) -> None:
    """Assert that every task is placed once for its time, and that no two placements overlap."""
    assert sorted(each.task for each in packing.placements) == list(range(len(tasks)))
    for each in packing.placements:
        share = Share(each.instances, pytest.approx(each.end_s - each.begin_s))  # type: ignore[arg-type]
        assert share in tasks[each.task].shares[each.kind]
        assert each.node < kinds[each.kind].count
        assert each.slot < each.instances
    for one, other in itertools.combinations(packing.placements, 2):
        if (one.kind, one.node) == (other.kind, other.node):
            apart_in_time = one.end_s <= other.begin_s + 1e-9 or other.end_s <= one.begin_s + 1e-9
            apart_in_space = (
                one.slot + 1
            ) / one.instances <= other.slot / other.instances + 1e-9 or (
                other.slot + 1
            ) / other.instances <= one.slot / one.instances + 1e-9
            assert apart_in_time or apart_in_space


def test_longest_first_is_grahams_example() -> None:
    """3, 3, 2, 2, 2 on two machines: longest first ends at 7 (3+2+2), the optimum is 6."""
    packing = pack(whole(3, 3, 2, 2, 2), [Kind(2, ONE_CUT)])
    assert packing.makespan_s == 7
    assert packing.bound_s == 6


def test_the_solver_finds_the_best_of_a_short_queue_and_proves_it() -> None:
    tasks, kinds = whole(3, 3, 2, 2, 2), [Kind(2, ONE_CUT)]
    packing = improve(tasks, kinds, pack(tasks, kinds))
    assert packing.makespan_s == pytest.approx(6)
    check_possible(packing, tasks, kinds)
    assert packing.method == "CP-SAT, proven shortest"


def test_the_solver_keeps_a_schedule_that_meets_its_bound() -> None:
    tasks, kinds = whole(2, 2), [Kind(2, ONE_CUT)]
    start = pack(tasks, kinds)
    assert improve(tasks, kinds, start) is start


def test_two_small_shares_run_side_by_side() -> None:
    """On the whole machine 6 s each, one after the other 12 s; on halves 8 s at the same time."""
    task = Task(((Share(1, 6.0), Share(2, 8.0)),))
    packing = pack([task, task], [Kind(1, (1, 2))])
    assert packing.makespan_s == 8
    assert {each.slot for each in packing.placements} == {0, 1}


def test_a_single_job_gets_the_whole_machine() -> None:
    packing = pack([Task(((Share(1, 6.0), Share(2, 8.0)),))], [Kind(1, (1, 2))])
    assert packing.makespan_s == 6
    assert packing.bound_s == 6


def test_a_task_runs_on_a_kind_of_machine_that_has_a_share_for_it() -> None:
    large = Task(((), (Share(1, 5.0),)))
    packing = pack([large], [Kind(3, ONE_CUT), Kind(1, ONE_CUT)])
    assert packing.placements[0].kind == 1


def _brute_force_s(seconds: Sequence[float], machines: int) -> float:
    return min(
        max(
            sum(s for s, m in zip(seconds, where, strict=True) if m == own)
            for own in range(machines)
        )
        for where in itertools.product(range(machines), repeat=len(seconds))
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_is_below_and_longest_first_within_grahams_ratio(seed: int) -> None:
    generator = random.Random(seed)
    machines = generator.choice((2, 3))
    seconds = [generator.uniform(1, 10) for _ in range(7)]
    best_s = _brute_force_s(seconds, machines)
    packing = pack(whole(*seconds), [Kind(machines, ONE_CUT)])
    assert packing.bound_s <= best_s + 1e-9
    assert packing.makespan_s <= best_s * (4 / 3 - 1 / (3 * machines)) + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_random_queues_on_two_kinds_are_possible_and_above_their_bound(seed: int) -> None:
    generator = random.Random(seed)
    kinds = [Kind(2, (1, 2, 4)), Kind(1, (1, 3))]
    tasks = []
    for _ in range(30):
        work = generator.uniform(1, 10)
        shares = [
            tuple(Share(cut, work * cut**0.8) for cut in kind.cuts if generator.random() < 0.8)
            for kind in kinds
        ]
        tasks.append(Task((shares[0] or (Share(1, work),), shares[1])))
    packing = pack(tasks, kinds)
    check_possible(packing, tasks, kinds)
    assert packing.makespan_s >= packing.bound_s - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_the_solvers_schedule_is_possible_and_not_longer(seed: int) -> None:
    generator = random.Random(seed)
    kinds = [Kind(1, (1, 2)), Kind(1, ONE_CUT)]
    tasks = [
        Task(((Share(1, work), Share(2, 1.6 * work)), (Share(1, 1.3 * work),)))
        for work in (generator.uniform(1, 9) for _ in range(6))
    ]
    start = pack(tasks, kinds)
    better = improve(tasks, kinds, start)
    check_possible(better, tasks, kinds)
    assert better.makespan_s <= start.makespan_s + 1e-9
    assert start.bound_s - 1e-9 <= better.bound_s <= better.makespan_s + 1e-9


def test_the_bound_of_two_kinds_is_the_linear_programs() -> None:
    """10 tasks of 4 s on a machine of one kind or 8 s on one of the other: cut into pieces, x
    tasks here and 10-x there end together at 4x = 8(10-x), after 80/3 s."""
    task = Task(((Share(1, 4.0),), (Share(1, 8.0),)))
    bound_s = lower_bound_s([task] * 10, [Kind(1, ONE_CUT), Kind(1, ONE_CUT)])
    assert bound_s == pytest.approx(80 / 3)


def test_machine_time_counts_to_the_last_job_of_each_machine() -> None:
    packing = pack(whole(5, 3, 3), [Kind(2, ONE_CUT)])
    assert sorted(machine_seconds(packing.placements).values()) == [5, 6]


def test_an_empty_queue_takes_no_time() -> None:
    assert pack([], [Kind(1, ONE_CUT)]).makespan_s == 0


def test_more_machines_than_tasks_cost_nothing() -> None:
    """A table of 100,000 machines with 1,000 shares each would take a gigabyte."""
    tasks = [Task(((Share(1, 5.0), Share(1024, 900.0)),))] * 2
    packing = pack(tasks, [Kind(10**12, (1, 1024))])
    assert packing.makespan_s == 5.0


def test_a_share_that_is_too_slow_is_not_used() -> None:
    """Three tasks of 5 s on two machines end after 10 s; a third that would need 1e30 s is idle."""
    tasks = [Task(((Share(1, 5.0),), (Share(1, 1e30),)))] * 3
    kinds = [Kind(2, (1,)), Kind(1, (1,))]
    assert improve(tasks, kinds, pack(tasks, kinds)).makespan_s == 10.0

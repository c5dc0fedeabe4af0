"""Exact packing of a short queue with OR-Tools CP-SAT, starting from the list schedule."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfkit.capacity.queue.pack import Kind, Packing, Placement, Task
from perfkit.errors import MissingDependencyError
from perfkit.packages import missing_sentence

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntervalVar, IntVar

MOST_CHOICES = 1500
"""Largest number of possible placements; longer queues keep the list schedule."""

SOLVE_S = 10.0
"""Time limit of the solver."""

TICKS = 10_000
"""Ticks in the makespan of the list schedule; the solver computes in whole ticks."""


def choice_count(tasks: Sequence[Task], kinds: Sequence[Kind]) -> int:
    """Return the number of possible placements of all tasks."""
    return sum(
        kind.count * share.instances
        for task in tasks
        for kind, shares in zip(kinds, task.shares, strict=True)
        for share in shares
    )


def improve(tasks: Sequence[Task], kinds: Sequence[Kind], start: Packing) -> Packing:
    """Return the shortest schedule that the solver finds within :data:`SOLVE_S`.

    Each possible placement is an optional interval, and intervals on the same share must not
    overlap. Durations are rounded up, so that the schedule is feasible. The solver's lower bound
    is reduced accordingly and used where it is above that of ``start``.

    Parameters
    ----------
    tasks, kinds
        Tasks and kinds of machines.
    start
        Schedule to start from, returned if the solver finds no better one.

    Raises
    ------
    MissingDependencyError
        OR-Tools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise MissingDependencyError(missing_sentence("the exact packing", ("ortools",))) from error
    if not tasks or start.makespan_s <= start.bound_s * (1 + 1 / TICKS):
        return start
    tick_s = start.makespan_s / TICKS
    model = cp_model.CpModel()
    horizon = 2 * TICKS
    makespan = model.new_int_var(0, horizon, "makespan")
    found = _choices(model, tasks, kinds, tick_s, horizon)
    lanes: dict[tuple[int, int, int], list[IntervalVar]] = {}
    fine = [kind.cuts[-1] for kind in kinds]
    for choice in found:
        model.add(choice.begin + choice.ticks <= makespan).only_enforce_if(choice.taken)
        width = fine[choice.kind] // choice.instances
        for lane in range(choice.slot * width, (choice.slot + 1) * width):
            lanes.setdefault((choice.kind, choice.node, lane), []).append(choice.interval)
    for intervals in lanes.values():
        model.add_no_overlap(intervals)
    for task in range(len(tasks)):
        model.add_exactly_one(choice.taken for choice in found if choice.task == task)
    _keep_order(model, found, tasks)
    _hint(model, found, start, tick_s)
    model.minimize(makespan)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = SOLVE_S
    solver.parameters.num_workers = len(os.sched_getaffinity(0))
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start
    placements = _compacted(
        [
            Placement(c.task, c.kind, c.node, c.slot, c.instances, begin, begin + c.seconds)
            for c in found
            if solver.boolean_value(c.taken)
            for begin in [solver.value(c.begin) * tick_s]
        ],
        fine,
        tasks,
    )
    makespan_s = max(each.end_s for each in placements)
    # Each of the tasks was rounded up by less than a tick.
    bound_s = (solver.best_objective_bound - len(tasks)) * tick_s
    bound_s = max(start.bound_s, bound_s)
    if makespan_s > start.makespan_s:
        return replace(start, bound_s=bound_s)
    proven = ", proven shortest" if status == cp_model.OPTIMAL else ""
    return Packing(tuple(placements), makespan_s, min(bound_s, makespan_s), f"CP-SAT{proven}")


@dataclass(frozen=True)
class _Choice:
    """A possible placement, with the solver's variables."""

    task: int
    kind: int
    node: int
    slot: int
    instances: int
    seconds: float
    ticks: int
    taken: IntVar
    begin: IntVar
    interval: IntervalVar


def _choices(
    model: CpModel, tasks: Sequence[Task], kinds: Sequence[Kind], tick_s: float, horizon: int
) -> list[_Choice]:
    found = []
    for task, asked in enumerate(tasks):
        begin = model.new_int_var(0, horizon, f"begin{task}")
        for kind, shares in enumerate(asked.shares):
            for share in shares:
                if share.seconds > horizon * tick_s:
                    # On such a slow share the task would end after the whole list schedule.
                    continue
                ticks = math.ceil(share.seconds / tick_s)
                for node in range(kinds[kind].count):
                    for slot in range(share.instances):
                        name = f"{task}-{kind}-{node}-{share.instances}-{slot}"
                        taken = model.new_bool_var(name)
                        interval = model.new_optional_fixed_size_interval_var(
                            begin, ticks, taken, name
                        )
                        found.append(
                            _Choice(
                                task,
                                kind,
                                node,
                                slot,
                                share.instances,
                                share.seconds,
                                ticks,
                                taken,
                                begin,
                                interval,
                            )
                        )
    return found


def _keep_order(model: CpModel, found: Sequence[_Choice], tasks: Sequence[Task]) -> None:
    """Let tasks begin after the tasks that they wait for."""
    begins = {choice.task: choice.begin for choice in found}
    for number, task in enumerate(tasks):
        for choice in found if task.after is not None else ():
            if choice.task == task.after:
                model.add(begins[number] >= choice.begin + choice.ticks).only_enforce_if(
                    choice.taken
                )


def _hint(model: CpModel, found: Sequence[_Choice], start: Packing, tick_s: float) -> None:
    placed = {each.task: each for each in start.placements}
    for choice in found:
        each = placed[choice.task]
        here = (each.kind, each.node, each.slot, each.instances)
        taken = here == (choice.kind, choice.node, choice.slot, choice.instances)
        model.add_hint(choice.taken, taken)
        if taken:
            model.add_hint(choice.begin, math.ceil(each.begin_s / tick_s))


def _compacted(
    placements: Sequence[Placement], fine: Sequence[int], tasks: Sequence[Task]
) -> list[Placement]:
    """Start every task as soon as possible, which closes the gaps of rounded times."""
    ready: dict[tuple[int, int, int], float] = {}
    ends: dict[int | None, float] = {None: 0.0}
    moved = []
    for each in sorted(placements, key=lambda placement: placement.begin_s):
        width = fine[each.kind] // each.instances
        lanes = [
            (each.kind, each.node, lane)
            for lane in range(each.slot * width, (each.slot + 1) * width)
        ]
        free_s = max(ready.get(lane, 0.0) for lane in lanes)
        begin_s = max(free_s, ends[tasks[each.task].after])
        end_s = begin_s + each.end_s - each.begin_s
        ends[each.task] = end_s
        ready.update(dict.fromkeys(lanes, end_s))
        moved.append(each._replace(begin_s=begin_s, end_s=end_s))
    return moved

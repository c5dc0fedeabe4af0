"""Packing of tasks onto shares of machines: list scheduling, longest task first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

TIE = 1e-9
"""Relative difference of makespans below which the schedule with fewer machine-hours wins."""


class Share(NamedTuple):
    """A task on one of ``instances`` equal shares of a machine, and its seconds there."""

    instances: int
    seconds: float


@dataclass(frozen=True)
class Kind:
    """A kind of machine.

    Attributes
    ----------
    count
        Number of machines.
    cuts
        Possible numbers of instances per machine, ascending; each divides the next.
    """

    count: int
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes
    ----------
    shares
        Possible shares per kind of machine.
    after
        Index of a task that has to end before this one begins, None for none. A task is named by
        at most one other, and waits for none itself.
    """

    shares: tuple[tuple[Share, ...], ...]
    after: int | None = None


class Placement(NamedTuple):
    """The place and time of a task.

    Attributes
    ----------
    task, kind
        Indices of the task and of the kind of machine.
    node
        Index of the machine among those of its kind.
    slot
        Index of the share among the ``instances`` equal shares of the machine.
    instances
        Number of shares of the machine.
    begin_s, end_s
        Seconds from the start of the schedule.
    """

    task: int
    kind: int
    node: int
    slot: int
    instances: int
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Packing:
    """A schedule with a lower bound.

    Attributes
    ----------
    placements
        One placement per task, in the order of their start.
    makespan_s
        End of the last task.
    bound_s
        Lower bound of the makespan of every schedule.
    method
        Name of the method that found the schedule.
    """

    placements: tuple[Placement, ...]
    makespan_s: float
    bound_s: float
    method: str


LPT = "list scheduling, longest first"

LONGEST = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 2.0)
"""Limits on the time of a task, relative to the lower bound of the makespan; all are tried."""


def pack(tasks: Sequence[Task], kinds: Sequence[Kind]) -> Packing:
    """Return the shortest of several list schedules.

    Shares are chosen before tasks are placed, as usual for moldable tasks (J. Turek, J. Wolf,
    P. Yu, "Approximate algorithms for scheduling parallelizable tasks", SPAA 1992). Each task gets
    the share with the least machine-time among those within a time limit, and is placed where it
    ends first, longest tasks first. The limits of :data:`LONGEST` are tried. Tasks that others wait
    for are placed before all others, or each just before the task that waits for it; both are
    tried.

    On ``m`` equal shares, longest first ends within ``4/3 - 1/(3m)`` of the shortest schedule in
    these shares (R. Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM Journal on Applied
    Mathematics 17 (1969), 416-429). For shares and machines of several kinds there is no such
    guarantee; :attr:`Packing.bound_s` bounds the distance to the shortest schedule.

    Parameters
    ----------
    tasks
        Tasks, each with a possible share on some kind of machine.
    kinds
        Kinds of machines.
    """
    if not tasks:
        return Packing((), 0.0, 0.0, LPT)
    bound_s = lower_bound_s(tasks, kinds)
    best: tuple[float, float, Sequence[Placement]] | None = None
    tried: set[tuple[tuple[Share | None, ...], ...]] = set()
    waiting = any(task.after is not None for task in tasks)
    orders = (False, True) if waiting else (False,)
    for factor in LONGEST:
        chosen = tuple(_within_limit(task, factor * bound_s) for task in tasks)
        if chosen in tried:
            continue
        tried.add(chosen)
        for early in orders:
            placements = _list_schedule(chosen, kinds, _order(tasks, chosen, early))
            makespan_s = max(each.end_s for each in placements)
            hours = sum(machine_seconds(placements).values())
            if best is None or (makespan_s * (1 + TIE), hours) < (best[0], best[1]):
                best = (makespan_s, hours, placements)
    assert best is not None
    ordered = sorted(best[2], key=lambda each: (each.begin_s, each.kind, each.node, each.slot))
    return Packing(tuple(ordered), best[0], bound_s, LPT)


def machine_seconds(placements: Sequence[Placement]) -> dict[tuple[int, int], float]:
    """Return (kind, node) to the seconds up to the end of the last task of the machine."""
    last: dict[tuple[int, int], float] = {}
    for each in placements:
        machine = (each.kind, each.node)
        last[machine] = max(last.get(machine, 0.0), each.end_s)
    return last


def lower_bound_s(tasks: Sequence[Task], kinds: Sequence[Kind]) -> float:
    """Return a lower bound of the makespan.

    It is the larger of two bounds: the longest task on its fastest share, after the task that it
    waits for, and the makespan of tasks that may be split at will. The latter is a linear program
    where there are several kinds of machines, solved by HiGHS.
    """
    if not tasks:
        return 0.0
    fastest = [min(share.seconds for shares in task.shares for share in shares) for task in tasks]
    longest_s = max(
        own + (0.0 if task.after is None else fastest[task.after])
        for task, own in zip(tasks, fastest, strict=True)
    )
    costs = [
        [min((s.seconds / s.instances for s in shares), default=None) for shares in task.shares]
        for task in tasks
    ]
    if len(kinds) == 1:
        total = sum(cost for (cost,) in costs if cost is not None)
        return max(longest_s, total / kinds[0].count)
    pairs = [
        (task, kind, cost)
        for task, row in enumerate(costs)
        for kind, cost in enumerate(row)
        if cost is not None
    ]
    return max(longest_s, _fractional_s(pairs, len(tasks), [kind.count for kind in kinds]))


def _fractional_s(
    pairs: Sequence[tuple[int, int, float]], tasks: int, counts: Sequence[int]
) -> float:
    """Return the least T at which split tasks keep no machine busy for longer than T on average."""
    columns = np.arange(len(pairs))
    task_of, kind_of, cost = (np.array(each) for each in zip(*pairs, strict=True))
    done = coo_matrix((np.ones(len(pairs)), (task_of, columns)), shape=(tasks, len(pairs) + 1))
    busy = coo_matrix(
        (
            np.concatenate([cost, -np.asarray(counts, float)]),
            (
                np.concatenate([kind_of, np.arange(len(counts))]),
                np.concatenate([columns, np.full(len(counts), len(pairs))]),
            ),
        ),
        shape=(len(counts), len(pairs) + 1),
    )
    objective = np.zeros(len(pairs) + 1)
    objective[-1] = 1.0
    found = linprog(
        objective,
        A_ub=busy.tocsr(),
        b_ub=np.zeros(len(counts)),
        A_eq=done.tocsr(),
        b_eq=np.ones(tasks),
        method="highs",
    )
    return float(found.fun) if found.success else 0.0


def _within_limit(task: Task, longest_s: float) -> tuple[Share | None, ...]:
    """Return per kind the share with least machine-time within ``longest_s``, else the fastest."""
    chosen: list[Share | None] = []
    for shares in task.shares:
        within = [share for share in shares if share.seconds <= longest_s]
        quickest = [min(shares, key=lambda share: share.seconds)] if shares else []
        chosen.append(
            min(
                within or quickest, key=lambda s: (s.seconds / s.instances, s.seconds), default=None
            )
        )
    return tuple(chosen)


def _order(
    tasks: Sequence[Task], chosen: Sequence[tuple[Share | None, ...]], early: bool
) -> list[tuple[int, int | None]]:
    """Return tasks with the task that each waits for, longest first, of these the largest shares.

    Parameters
    ----------
    tasks, chosen
        Tasks, and the shares chosen for them.
    early
        Whether tasks that others wait for come before all others.
    """
    awaited = {task.after for task in tasks}
    by_weight = sorted(range(len(tasks)), key=lambda task: _weight(chosen[task]), reverse=True)
    later = [(task, tasks[task].after) for task in by_weight if task not in awaited]
    before: list[tuple[int, int | None]] = [(own, None) for _, own in later if own is not None]
    if early:
        return [*before, *later]
    found: list[tuple[int, int | None]] = []
    for task, after in later:
        found += [(task, None)] if after is None else [(after, None), (task, after)]
    return found


def _list_schedule(
    chosen: Sequence[tuple[Share | None, ...]],
    kinds: Sequence[Kind],
    order: Sequence[tuple[int, int | None]],
) -> list[Placement]:
    """Place each task where it ends first, in this order of tasks."""
    finest = [
        max((share.instances for share in column if share is not None), default=1)
        for column in zip(*chosen, strict=True)
    ]
    # A task needs one machine, so more machines than tasks are of no use.
    counts = [min(kind.count, len(chosen)) for kind in kinds]
    free = [np.zeros((count, fine)) for count, fine in zip(counts, finest, strict=True)]
    placements = []
    ends: dict[int | None, float] = {None: 0.0}
    for task, after in order:
        options = [
            _earliest(free[kind], share, task, kind, ends[after])
            for kind, share in enumerate(chosen[task])
            if share is not None
        ]
        placed = min(options, key=lambda each: (each.end_s, each.end_s - each.begin_s))
        width = finest[placed.kind] // placed.instances
        begin = placed.slot * width
        free[placed.kind][placed.node, begin : begin + width] = placed.end_s
        ends[task] = placed.end_s
        placements.append(placed)
    return placements


def _weight(shares: Sequence[Share | None]) -> tuple[float, float]:
    """Return the seconds of a task on its fastest share, and the size of that share."""
    quickest = min((s for s in shares if s is not None), key=lambda s: s.seconds)
    return quickest.seconds, 1 / quickest.instances


def _earliest(
    free: NDArray[np.float64], share: Share, task: int, kind: int, from_s: float
) -> Placement:
    """Place a task on the share that is free first, of those free at ``from_s`` the last."""
    nodes, fine = free.shape
    ready = free.reshape(nodes, share.instances, fine // share.instances).max(axis=2)
    index = int(ready.argmin())
    if float(ready.flat[index]) < from_s:
        # Of the shares that wait, the one that was busy longest wastes least.
        index = int(np.where(ready <= from_s, ready, -1.0).argmax())
    node, slot = divmod(index, share.instances)
    begin_s = max(from_s, float(ready[node, slot]))
    return Placement(task, kind, node, slot, share.instances, begin_s, begin_s + share.seconds)

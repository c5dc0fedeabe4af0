"""Packing jobs onto machines: list scheduling, longest first, in shares of a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

TIE = 1e-9
"""Relative difference of makespans below which the plan with fewer machine-hours is taken."""


class Share(NamedTuple):
    """A job on one kind of machine as one of so many ``instances`` that fill it."""

    instances: int
    seconds: float


@dataclass(frozen=True)
class Kind:
    """Machines of one kind: how many, and the instance counts they may be cut into, ascending,
    each a divisor of the next."""

    count: int
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """A job as the packing sees it: the shares that are possible, a list a kind of machine."""

    shares: tuple[tuple[Share, ...], ...]


class Placement(NamedTuple):
    """Where and when a task runs.

    Attributes
    ----------
    task, kind
        Indices.
    node
        Number of the machine among its kind.
    slot
        Of ``instances`` equal parts of the machine the one it takes.
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
    """A schedule, and how good it is known to be.

    Parameters
    ----------
    placements
        In the order in which they begin.
    makespan_s
        When the last ends.
    bound_s
        No schedule ends before.
    method
        How it was found, in words.
    """

    placements: tuple[Placement, ...]
    makespan_s: float
    bound_s: float
    method: str


LPT = "list scheduling, longest first"

LONGEST = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 2.0)
"""How long a task may take at most, in lower bounds of the makespan: each is tried."""


def pack(tasks: Sequence[Task], kinds: Sequence[Kind]) -> Packing:
    """The shortest of several list schedules.

    As usual for tasks that may have more or fewer CPUs, shares are chosen first and placed then
    (J. Turek, J. Wolf, P. Yu, "Approximate algorithms for scheduling parallelizable tasks", SPAA
    1992): each task takes the share that costs least machine-time among those that are quick
    enough, and goes where it ends first, longest tasks first. Several meanings of quick enough
    are tried.

    On ``m`` equal shares, longest first ends within ``4/3 - 1/(3m)`` of the shortest schedule in
    these shares (R. Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM Journal on Applied
    Mathematics 17 (1969), 416-429). For shares and machines of several kinds there is no such
    bound: the distance to :attr:`Packing.bound_s` tells how good a schedule is.
    """
    if not tasks:
        return Packing((), 0.0, 0.0, LPT)
    bound_s = lower_bound_s(tasks, kinds)
    best: tuple[float, float, Sequence[Placement]] | None = None
    tried: set[tuple[tuple[Share | None, ...], ...]] = set()
    for factor in LONGEST:
        chosen = tuple(_quick_enough(task, factor * bound_s) for task in tasks)
        if chosen in tried:
            continue
        tried.add(chosen)
        placements = _list_schedule(chosen, kinds)
        makespan_s = max(each.end_s for each in placements)
        hours = sum(machine_seconds(placements).values())
        if best is None or (makespan_s * (1 + TIE), hours) < (best[0], best[1]):
            best = (makespan_s, hours, placements)
    assert best is not None
    ordered = sorted(best[2], key=lambda each: (each.begin_s, each.kind, each.node, each.slot))
    return Packing(tuple(ordered), best[0], bound_s, LPT)


def machine_seconds(placements: Sequence[Placement]) -> dict[tuple[int, int], float]:
    """How long each machine is in use: from the begin to the end of its last task."""
    last: dict[tuple[int, int], float] = {}
    for each in placements:
        machine = (each.kind, each.node)
        last[machine] = max(last.get(machine, 0.0), each.end_s)
    return last


def lower_bound_s(tasks: Sequence[Task], kinds: Sequence[Kind]) -> float:
    """A time before which no schedule of whole shares ends.

    The larger of the longest task's shortest time, and the time that the machine-seconds need
    when tasks may be cut into pieces, each where it costs least: a linear program, solved by
    HiGHS where there are several kinds.
    """
    if not tasks:
        return 0.0
    longest_s = max(
        min(share.seconds for shares in task.shares for share in shares) for task in tasks
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
    """Least T with every task done in pieces and each kind busy for at most T on all machines."""
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


def _quick_enough(task: Task, longest_s: float) -> tuple[Share | None, ...]:
    """The share a kind that costs least machine-time within ``longest_s``, else the quickest."""
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


def _list_schedule(
    chosen: Sequence[tuple[Share | None, ...]], kinds: Sequence[Kind]
) -> list[Placement]:
    """Every task in turn where it ends first; the order is by the machine-time it takes at least,
    large shares before small ones of the same time."""
    finest = [
        max((share.instances for share in column if share is not None), default=1)
        for column in zip(*chosen, strict=True)
    ]
    # A task takes one machine, so that no more machines than tasks are of use.
    counts = [min(kind.count, len(chosen)) for kind in kinds]
    free = [np.zeros((count, fine)) for count, fine in zip(counts, finest, strict=True)]
    order = sorted(range(len(chosen)), key=lambda task: _weight(chosen[task]), reverse=True)
    placements = []
    for task in order:
        options = [
            _earliest(free[kind], share, task, kind)
            for kind, share in enumerate(chosen[task])
            if share is not None
        ]
        placed = min(options, key=lambda each: (each.end_s, each.end_s - each.begin_s))
        width = finest[placed.kind] // placed.instances
        begin = placed.slot * width
        free[placed.kind][placed.node, begin : begin + width] = placed.end_s
        placements.append(placed)
    return placements


def _weight(shares: Sequence[Share | None]) -> tuple[float, float]:
    """Seconds of the task where it is quickest, and the part of the machine that it takes."""
    quickest = min((s for s in shares if s is not None), key=lambda s: s.seconds)
    return quickest.seconds, 1 / quickest.instances


def _earliest(free: NDArray[np.float64], share: Share, task: int, kind: int) -> Placement:
    """The part of a machine that is whole again first."""
    nodes, fine = free.shape
    ready = free.reshape(nodes, share.instances, fine // share.instances).max(axis=2)
    node, slot = divmod(int(ready.argmin()), share.instances)
    begin_s = float(ready[node, slot])
    return Placement(task, kind, node, slot, share.instances, begin_s, begin_s + share.seconds)

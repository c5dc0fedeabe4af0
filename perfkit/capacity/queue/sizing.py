"""How many machines a queue needs for a deadline or a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range, relative_range
from perfkit.capacity.queue.candidates import Queue
from perfkit.capacity.queue.expected import Expectation
from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.queue.pack import lower_bound_s, machine_seconds, pack
from perfkit.capacity.queue.plan import kinds_of, option_of, tasks_of
from perfkit.models.costs import Job
from perfkit.units import HOUR_S, count_text


@dataclass(frozen=True)
class Need:
    """The number of machines of one kind that a queue needs.

    Attributes
    ----------
    machine
        Kind of machine.
    machines
        Number of machines, None where no number would do.
    makespan_s, price
        Makespan and price with this number; the price counts every machine up to its last job
        and is None where the machine has no price.
    low, high
        Ends of the interval of makespan and price, as factors on them.
    reason
        Why no number would do.
    """

    machine: Machine
    machines: int | None
    makespan_s: float = 0.0
    price: float | None = None
    low: float = 1.0
    high: float = 1.0
    reason: str = ""


def needs(
    jobs: Sequence[Job],
    machines: Sequence[Machine],
    fits: Sequence[ModelFit],
    *,
    cached: bool,
    deadline_s: float | None,
    budget: float | None,
    expectation: Expectation | None = None,
) -> list[Need]:
    """Return the number of machines that a queue needs, for each kind of machine alone.

    With a deadline it is the smallest number that meets the deadline and the budget. Without a
    deadline it is the largest number that the budget pays for.

    Parameters
    ----------
    jobs
        Jobs of the queue.
    machines
        Kinds of machines; their counts are ignored.
    fits
        Fits, one per model and preset.
    cached
        Whether jobs share a compilation cache.
    deadline_s
        Seconds in which the queue must end, None for no deadline.
    budget
        Largest price, None for no budget.
    expectation
        Corrections by finished jobs, and risks of requests.
    """
    return [
        _need(
            jobs,
            machine,
            fits,
            cached=cached,
            deadline_s=deadline_s,
            budget=budget,
            expectation=expectation,
        )
        for machine in machines
    ]


def _need(
    jobs: Sequence[Job],
    machine: Machine,
    fits: Sequence[ModelFit],
    *,
    cached: bool,
    deadline_s: float | None,
    budget: float | None,
    expectation: Expectation | None,
) -> Need:
    queue = Queue(jobs, [machine], fits, cached=cached, expectation=expectation)
    candidates, rejects = queue.candidates()
    if rejects:
        return Need(machine, None, reason=f"{count_text(len(rejects), 'job')} cannot run on it")
    if budget is not None and machine.price_per_hour is None:
        return Need(machine, None, reason="it has no price_per_hour")
    tasks = tasks_of(candidates)

    def with_count(count: int) -> Need:
        kinds = kinds_of([replace(machine, count=count)])
        packing = pack(tasks, kinds)
        hours = sum(machine_seconds(packing.placements).values()) / HOUR_S
        rate = machine.price_per_hour
        price = None if rate is None else hours * rate
        times = (
            option_of(candidates[each.task], each).time
            if each.task < len(candidates)
            else _exactly(each.end_s - each.begin_s)
            for each in packing.placements
        )
        low, high = relative_range(times)
        return Need(machine, count, packing.makespan_s, price, low, high)

    most = len(tasks)
    if deadline_s is None:
        found = with_count(1)
        if budget is None or found.price is None or found.price > budget:
            return replace(found, machines=None, reason="the budget does not pay for the queue")
        return with_count(_last(lambda count: _within(with_count(count).price, budget), 1, most))
    # Fewer machines than the machine-time divided by the deadline cannot do.
    one_s = lower_bound_s(tasks, kinds_of([replace(machine, count=1)]))
    least = min(most, max(1, math.ceil(one_s / deadline_s)))
    alone = with_count(most)
    if alone.makespan_s > deadline_s:
        return replace(alone, machines=None, reason="the longest job alone takes longer")
    if with_count(least).makespan_s > deadline_s:
        least = 1 + _last(lambda count: with_count(count).makespan_s > deadline_s, least, most)
    found = with_count(least)
    if budget is not None and not _within(found.price, budget):
        return replace(found, machines=None, reason="the budget does not pay for that many")
    return found


def _exactly(seconds: float) -> Range:
    """The stated time of a genetic search, which has no interval."""
    return Range(value=seconds, low=seconds, high=seconds)


def _within(price: float | None, budget: float) -> bool:
    return price is not None and price <= budget


def _last(holds: Callable[[int], bool], first: int, most: int) -> int:
    """Return the largest count from ``first`` to ``most`` for which ``holds`` is true.

    It must be true at ``first`` and change at most once. Steps double until it changes, then the
    interval is bisected.
    """
    low, step = first, 1
    while low + step <= most and holds(low + step):
        low += step
        step *= 2
    high = min(low + step, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low

"""The rest of a plan: when its jobs end, given what has ended, and if times are long or short."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perfkit.capacity.check.actual import Actual, Fate
from perfkit.capacity.check.planned import PlannedRow
from perfkit.capacity.correction.predictive import Predictive, Scores

SHARES = np.concatenate(
    [np.linspace(0.0005, 0.9, 180, endpoint=False), np.linspace(0.9, 0.9995, 200)]
)
"""Shares of the distribution at which ends are computed."""


def late(
    jobs: Sequence[PlannedRow],
    actual: Mapping[str, Actual],
    times: Mapping[str, Predictive],
    deadline_s: float,
) -> dict[str, float]:
    """Return name of a job to the probability that it ends after the deadline.

    Jobs keep the order and the shares of the plan, and each begins as soon as its share is free
    and its search has ended. Their errors are shared, because they rest on the same laws: all
    times of the rest are at the same share of their distributions.

    Parameters
    ----------
    jobs
        Jobs of the plan.
    actual
        What happened, by name of a job.
    times
        Distribution of the time of each job that has not ended, by name; the result is of these.
    deadline_s
        Seconds from the start of the plan.
    """
    ready: dict[tuple[str, int], NDArray[np.float64]] = {}
    finest = _finest(jobs)
    found: dict[str, float] = {}
    known: dict[Scores, list[float]] = {}
    for job in sorted(jobs, key=lambda each: each.begin_s):
        machine = (job.machine, job.node)
        lanes = ready.setdefault(machine, np.zeros((finest[machine], len(SHARES))))
        width = len(lanes) // job.instances
        own = slice(job.slot * width, (job.slot + 1) * width)
        begin_s = lanes[own].max(axis=0)
        happened = actual.get(job.name)
        if job.name in times:
            begin_s = np.maximum(begin_s, job.msa_end_s or 0.0)
            end_s = begin_s + _seconds(times[job.name], happened, known)
            found[job.name] = _above(end_s, deadline_s)
        else:
            end_s = begin_s + ((happened and happened.time_s) or 0.0)
        lanes[own] = end_s
    return found


def _finest(jobs: Sequence[PlannedRow]) -> dict[tuple[str, int], int]:
    """Number of equal lanes of each machine into which all of its shares can be divided."""
    found: dict[tuple[str, int], int] = {}
    for job in jobs:
        machine = (job.machine, job.node)
        found[machine] = math.lcm(found.get(machine, 1), job.instances)
    return found


def _seconds(
    time: Predictive, happened: Actual | None, known: dict[Scores, list[float]]
) -> NDArray[np.float64]:
    """Seconds of a job at each share. Scores at these shares are kept in ``known``."""
    if time.scores not in known:
        known[time.scores] = [time.scores.quantile(float(share)) for share in SHARES]
    seconds = np.array([time.at(place) for place in known[time.scores]])
    if happened is not None and happened.fate is Fate.RUNNING:
        # It takes at least as long as it has taken.
        least_s = happened.time_s or 0.0
        seconds = np.maximum(seconds, least_s)
    return seconds


def _above(ends_s: NDArray[np.float64], deadline_s: float) -> float:
    """Probability that an end is after the deadline; ``ends_s`` ascend with the share."""
    if deadline_s < ends_s[0]:
        return 1.0
    if deadline_s >= ends_s[-1]:
        return 0.0
    return 1.0 - float(np.interp(deadline_s, ends_s, SHARES))

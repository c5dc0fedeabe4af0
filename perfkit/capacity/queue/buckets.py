"""Buckets of a queue: padding costs time per job, further buckets cost compilations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def choose_buckets(
    sizes: Sequence[int],
    counts: Mapping[str, Sequence[float]],
    seconds: Mapping[str, Sequence[float]],
    compile_s: Sequence[float],
) -> list[int]:
    """Choose a bucket per size so that padded passes and compilations take least time in total.

    A bucket is the largest of the sizes that share it. Sizes that share a bucket are neighbours,
    because the time of a program grows with its size. Dynamic programming over the sizes finds
    the best partition in quadratic time.

    Parameters
    ----------
    sizes
        Different sizes, ascending.
    counts
        Part to its number of runs at each size, over all jobs of that size.
    seconds
        Part to the seconds of a run when padded to each size.
    compile_s
        Seconds of all compilations of the program of each size.

    Returns
    -------
    list of int
        One bucket per size, in the order of the sizes.

    References
    ----------
    The same recurrence as optimal one-dimensional partitioning: R. Bellman, "On the approximation
    of curves by line segments using dynamic programming", Communications of the ACM 4 (1961), 284.
    """
    count = len(sizes)
    before = {
        part: np.concatenate([[0.0], np.cumsum(np.asarray(each, float))])
        for part, each in counts.items()
    }
    best = np.zeros(count + 1)
    cut = np.zeros(count + 1, int)
    for last in range(1, count + 1):
        # The sizes from each possible first one up to `last` share the bucket of the last one.
        cost = best[:last] + compile_s[last - 1]
        for part, total in before.items():
            cost = cost + (total[last] - total[:last]) * seconds[part][last - 1]
        cut[last] = int(np.argmin(cost))
        best[last] = cost[cut[last]]
    buckets = [0] * count
    last = count
    while last:
        buckets[cut[last] : last] = [sizes[last - 1]] * (last - int(cut[last]))
        last = int(cut[last])
    return buckets

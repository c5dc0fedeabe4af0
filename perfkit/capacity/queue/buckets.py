"""Padding against compilations: the buckets that cost a queue least as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def choose_buckets(
    sizes: Sequence[int],
    counts: Mapping[str, Sequence[float]],
    seconds: Mapping[str, Sequence[float]],
    compile_s: Sequence[float],
) -> list[int]:
    """The bucket of every size, so that padded passes and compilations together take least.

    A bucket is the largest of the sizes that share it, so that nothing is padded further than to
    a size that occurs; sizes that share a bucket are neighbours, because a program's time grows
    with its size. The best cut into runs of neighbours is found by dynamic programming over the
    sizes, in quadratic time.

    Parameters
    ----------
    sizes
        Different sizes, ascending.
    counts
        Part to how often it runs at each size, all jobs of that size together.
    seconds
        Part to the seconds of one run when padded to each size.
    compile_s
        Of the program of each size, as often as it is compiled.

    Returns
    -------
    A bucket a size, in their order.

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
        # Sizes from `first` up to `last` share the bucket of the last one.
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

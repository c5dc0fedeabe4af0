"""Gains of all configurations over stock, from pairs that are chained through common members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from perfkit.knobs.configuration import STOCK
from perfkit.records.depths import FULL_DEPTH
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.processes import Pair


def log_gains(pairs: Sequence[Pair]) -> dict[str, float]:
    """Logarithm of ``stock / configuration``, by digest.

    A configuration is seldom measured in turns with stock itself: most are compared with an
    incumbent, and that one with an earlier one. The gains are those that explain the medians of
    all pairs best (ordinary least squares, each pair of processes counts once), with that of stock
    fixed at 0.

    Parameters
    ----------
    pairs
        Pairs of one depth, see :func:`compared_pairs`.

    Returns
    -------
    dict of str to float
        Gains of the configurations that a chain of pairs connects with stock. Stock is among them
        if it has any pair.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import spsolve

    connected = _connected(pairs)
    digests = sorted(connected - {STOCK.digest})
    if not digests:
        return {}
    column = {digest: number for number, digest in enumerate(digests)}
    used = [pair for pair in pairs if pair.first.digest in connected]
    rows: list[int] = []
    columns: list[int] = []
    signs: list[float] = []
    for row, pair in enumerate(used):
        # The logarithm of first / second is the gain of the second minus that of the first.
        for digest, sign in ((pair.second.digest, 1.0), (pair.first.digest, -1.0)):
            if digest in column:
                rows.append(row)
                columns.append(column[digest])
                signs.append(sign)
    # Sparse: a long search has thousands of configurations, and each is compared with a few others.
    design = csc_array((signs, (rows, columns)), shape=(len(used), len(digests)))
    medians = np.array([pair.median for pair in used])
    solution = np.atleast_1d(spsolve(design.T @ design, design.T @ medians))
    return {STOCK.digest: 0.0} | dict(zip(digests, map(float, solution), strict=True))


def compared_pairs(evidence: Evidence) -> list[Pair]:
    """The pairs at the depth at which most configurations were compared with stock.

    Ratios of a shallow network predict those of the full one, but are not equal to them, so that
    the two are not chained. Where both have as many configurations, the full depth counts.
    """
    by_depth: dict[str, list[Pair]] = defaultdict(list)
    for pair in evidence.comparisons:
        by_depth[pair.first.depth].append(pair)
    return max(
        by_depth.values(),
        key=lambda pairs: (len(_connected(pairs)), pairs[0].first.depth == FULL_DEPTH),
        default=[],
    )


def _connected(pairs: Sequence[Pair]) -> set[str]:
    """Digests of the configurations that chains of pairs connect with stock."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        neighbours[pair.first.digest].add(pair.second.digest)
        neighbours[pair.second.digest].add(pair.first.digest)
    found, frontier = set[str](), {STOCK.digest} & neighbours.keys()
    while frontier:
        found |= frontier
        frontier = {other for digest in frontier for other in neighbours[digest]} - found
    return found

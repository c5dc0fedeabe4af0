"""Which configurations have to be confirmed for a goal. Pure: runs nothing.

A search that looks for the fastest configuration confirms its incumbents. Other goals also need
confirmed configurations that are slower, but smaller or cheaper.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from perfkit.knobs.allocators import ALLOCATOR_KNOB
from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.schema import Record
from perfkit.tuning.choice.memory_exchange import SAME_MEMORY
from perfkit.tuning.choice.recommend import measured_at_own_fidelity
from perfkit.tuning.choice.rows import Row, rows_of
from perfkit.tuning.goals.goal import Goal
from perfkit.tuning.goals.objectives import Cost, Memory, time_gain
from perfkit.tuning.search.evidence import Evidence

MOST_CONFIRMED = 4
"""Most configurations that are proposed at a time; each one adds a process to every block."""

SCREENING_DOUBT = 1.1
"""Factor by which a screened time may differ from a confirmed one: processes of one program can
differ by this much for their whole life."""


def worth_confirming(
    records: Sequence[Record], goal: Goal, most: int = MOST_CONFIRMED
) -> tuple[dict[str, str], ...]:
    """Settings of the configurations to confirm for a goal, the most important first.

    The fastest of those that keep the constraints comes first. The objective ``memory`` adds those
    that are predicted to need less memory within its slack, ``cost`` the cheapest, and the front of
    time and memory its members. Configurations that have confirmation blocks already are among the
    result: it is the set of finalists that the records support.

    Parameters
    ----------
    records
        Records of one study and one workload, at full depth and shallow.
    goal
        Objective and constraints.
    most
        Largest number of configurations.
    """
    compared = measured_at_own_fidelity(records)
    rows = [
        replace(row, peak_rss_bytes=peak or 0)
        for row in rows_of(compared, Evidence.of_records(compared))
        if row.eligible and time_gain(row) > 0
        for peak in [predicted_peak_bytes(compared, row)]
    ]
    possible = [row for row in rows if goal.constraints.violation(row) is None]
    tried = [row for row in possible if row.label != STOCK_LABEL]
    if not tried:
        return ()
    fastest = max(tried, key=time_gain)
    wanted = [fastest]
    match goal.objective:
        case Memory(slack=slack):
            # Stock may be the fastest of all.
            quickest = max(time_gain(row) for row in possible)
            near = [
                row
                for row in tried
                if row.peak_rss_bytes and time_gain(row) * (1 + slack) * SCREENING_DOUBT >= quickest
            ]
            wanted += sorted(near, key=goal.objective.score)
        case Cost():
            wanted += sorted(tried, key=goal.objective.score)[:2]
        case _:
            wanted += sorted(tried, key=goal.objective.score)[:1]
    if goal.pareto:
        wanted += _front(tried)
    unique = {row.digest: row.settings for row in wanted}
    return tuple(itertools.islice(unique.values(), most))


def predicted_peak_bytes(records: Sequence[Record], row: Row) -> int | None:
    """Peak memory of a configuration: measured, or predicted from its screening.

    The prediction is the peak of stock, at full depth if it is known, plus two differences at a
    depth that both were screened at: that between the memory of both programs, as the compiler
    counts it, and that between what processes take beyond it. Blocks of a network run one after
    another, so that neither depends much on their number. What a process takes beyond its program
    is mostly what its allocator keeps: it is that of the configuration, or of all with its
    allocator, where they had processes of their own.

    Parameters
    ----------
    records
        Records of one study.
    row
        The configuration.

    Returns
    -------
    int or None
        Bytes; None where nothing was measured to compare with.
    """
    if row.peak_rss_bytes:
        return row.peak_rss_bytes
    own, stock = _program_bytes(records, row.settings), _program_bytes(records, {})
    depth = next((depth for depth in own if depth in stock), None)
    if depth is None:
        return None
    screened = [
        record
        for record in records
        if record.workload.depth == depth
        and record.compilation is not None
        and record.passes_peak_bytes
        and not record.shared_process
    ]
    base = max(
        (
            record.peak_rss_bytes
            for record in records
            if not record.configuration.settings and record.is_prediction
        ),
        default=0,
    ) or max(
        (record.passes_peak_bytes for record in screened if not record.configuration.settings),
        default=0,
    )
    if not base:
        return None
    return max(1, round(base + own[depth] - stock[depth] + _beyond_stock(screened, row.settings)))


def _beyond_stock(screened: Sequence[Record], settings: Mapping[str, str]) -> float:
    """Bytes that a process takes beyond its program, and stock does not; 0 where unknown.

    Parameters
    ----------
    screened
        Records of one depth, of processes of their own.
    settings
        Settings of the configuration.
    """

    def beyond(is_alike: Callable[[Mapping[str, str]], bool]) -> list[int]:
        return [
            record.passes_peak_bytes - record.compilation.data_bytes
            for record in screened
            if record.compilation is not None and is_alike(record.configuration.settings)
        ]

    allocator = settings.get(ALLOCATOR_KNOB.name)
    stock = beyond(lambda other: not other)
    own = beyond(lambda other: other == settings) or beyond(
        lambda other: other.get(ALLOCATOR_KNOB.name) == allocator
    )
    return statistics.median(own) - statistics.median(stock) if own and stock else 0.0


def _program_bytes(records: Sequence[Record], settings: Mapping[str, str]) -> dict[str, int]:
    """Memory of the compiled program of a configuration, by depth."""
    return {
        record.workload.depth: record.compilation.data_bytes
        for record in records
        if record.compilation is not None and record.configuration.settings == settings
    }


def _front(rows: Sequence[Row]) -> list[Row]:
    """Configurations of which none is estimated to be both faster and smaller, fastest first."""
    found: list[Row] = []
    for row in sorted(rows, key=time_gain, reverse=True):
        smallest = min((one.peak_rss_bytes for one in found), default=None)
        if row.peak_rss_bytes and (smallest is None or SAME_MEMORY * row.peak_rss_bytes < smallest):
            found.append(row)
    return found

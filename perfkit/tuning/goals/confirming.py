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
from perfkit.records.roles import Role
from perfkit.records.schema import Record
from perfkit.tuning.choice.memory_exchange import SAME_MEMORY
from perfkit.tuning.choice.recommend import measured_at_own_fidelity
from perfkit.tuning.choice.rows import Row, rows_of
from perfkit.tuning.goals.goal import Goal
from perfkit.tuning.goals.objectives import Cost, Memory, memory_ratio, time_gain
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.settings import Settings, program_settings

MOST_CONFIRMED = 4
"""Most configurations that are proposed at a time; each one adds a process to every block."""

SCREENING_DOUBT = 1.1
"""Factor by which a screened time may differ from a confirmed one: processes of one program can
differ by this much for their whole life."""

KnownMemory = Callable[[Mapping[str, str]], float]
"""Peak memory with some settings relative to stock, as far as the knobs state it."""

SMALLER = 0.9
"""Ratio of predicted peaks below which another allocator is worth the blocks of a confirmation."""


def no_known_memory(settings: Mapping[str, str]) -> float:
    """State nothing: the knobs are not known to change the memory."""
    return 1.0


def worth_confirming(
    records: Sequence[Record],
    goal: Goal,
    most: int = MOST_CONFIRMED,
    known_memory: KnownMemory = no_known_memory,
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
    known_memory
        What the knobs state of the memory that their values need.
    """
    compared = measured_at_own_fidelity(records)
    possible = _possible_rows(compared, compared, goal, known_memory)
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


def smaller_equal(
    records: Sequence[Record],
    goal: Goal,
    best: str,
    known_memory: KnownMemory = no_known_memory,
) -> dict[str, str] | None:
    """Settings of the program that is recommended, with an allocator that may be the better one.

    A search looks at time alone, and takes any of several allocators that are equally fast. The one
    that is returned keeps much less memory, and the objective prefers it by what screening showed.

    Parameters
    ----------
    records
        Records of one study and one workload, at full depth and shallow.
    goal
        Objective and constraints.
    best
        Digest of the configuration that is recommended so far.
    known_memory
        What the knobs state of the memory that their values need.

    Returns
    -------
    dict or None
        The settings; None where no other allocator is preferred.
    """
    compared = measured_at_own_fidelity(records)
    # Ratios of a shallow network compare with each other, and not with confirmed ones.
    screened = [record for record in compared if record.role != Role.CONFIRM]
    rows = _possible_rows(compared, screened, goal, known_memory)
    base = next((row for row in rows if row.digest == best), None)
    if base is None or not base.settings:
        return None
    program = _program(base)
    smaller = [
        row
        for row in rows
        if _program(row) == program and row.settings and memory_ratio(row, base) < SMALLER
    ]
    score = goal.objective.score
    chosen = min(smaller, key=score, default=base)
    return chosen.settings if score(chosen) < score(base) else None


def _program(row: Row) -> Settings:
    return program_settings(tuple(sorted(row.settings.items())))


def _possible_rows(
    records: Sequence[Record], timed: Sequence[Record], goal: Goal, known_memory: KnownMemory
) -> list[Row]:
    """Configurations that keep the constraints, with measured or predicted peaks.

    Parameters
    ----------
    records
        Records that peaks are predicted from.
    timed
        Records that times are estimated from.
    goal
        Objective and constraints.
    known_memory
        What the knobs state of the memory that their values need.
    """
    rows = [
        replace(row, peak_rss_bytes=predicted_peak_bytes(records, row, known_memory) or 0)
        for row in rows_of(timed, Evidence.of_records(timed))
        if row.eligible and time_gain(row) > 0
    ]
    return [row for row in rows if goal.constraints.violation(row) is None]


def predicted_peak_bytes(
    records: Sequence[Record], row: Row, known_memory: KnownMemory = no_known_memory
) -> int | None:
    """Peak memory of a configuration: measured, or predicted from its screening.

    The prediction is the peak of stock, at full depth if it is known, plus two differences at a
    depth that both were screened at: that between the memory of both programs, as the compiler
    counts it, and that between what processes take beyond it. Blocks of a network run one after
    another, so that neither depends much on their number. What a process takes beyond its program
    is mostly what its allocator keeps, and is that of the processes with the same allocator.

    What knobs state is a lower limit: the compiler does not count the constants of a program, so
    that one with its parameters baked in looks smaller than it is.

    Parameters
    ----------
    records
        Records of one study.
    row
        The configuration.
    known_memory
        What the knobs state of the memory that their values need.

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
    ]
    base = max(
        (
            record.peak_rss_bytes
            for record in records
            if not record.configuration.settings and record.is_prediction
        ),
        default=0,
    )
    beyond_stock = _beyond_program(screened, None)
    if not base and beyond_stock is not None:
        base = round(stock[depth] + beyond_stock)
    if not base:
        return None
    beyond = _beyond_program(screened, row.settings.get(ALLOCATOR_KNOB.name))
    more = 0.0 if beyond is None or beyond_stock is None else beyond - beyond_stock
    predicted = max(1, round(base + own[depth] - stock[depth] + more))
    ratio = known_memory(row.settings)
    return max(predicted, round(ratio * base)) if ratio > 1 else predicted


def _beyond_program(screened: Sequence[Record], allocator: str | None) -> float | None:
    """Bytes that a process takes beyond its program; None where no process is known.

    In a process of its own they are what the peak exceeds the program by. A shared process keeps
    the programs of other trials too, so that the trial that found the fewest of them counts.

    Parameters
    ----------
    screened
        Records of one depth.
    allocator
        Value of the knob in the process, or None for the default.
    """
    alone, shared = list[int](), list[int]()
    for record in screened:
        own = record.configuration.settings.get(ALLOCATOR_KNOB.name)
        if record.compilation is not None and own == allocator:
            beyond = record.passes_peak_bytes - record.compilation.data_bytes
            (shared if record.shared_process else alone).append(beyond)
    return statistics.median(alone) if alone else min(shared, default=None)


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

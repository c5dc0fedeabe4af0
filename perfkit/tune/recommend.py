"""From records to one row a configuration, and to a recommendation. Pure: reads, runs nothing."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.schema import Outcome, Record
from perfkit.stats.bootstrap import CONFIDENCE, Interval, median_interval, paired_ratio

REFERENCE_ROLE = "reference"
BASE_ROLE = "base"
"""Role of the trial that the others of its block are paired with."""
PARTS_ROLES = ("parts", "check")
"""Roles of trials at other fidelities than the study's."""


@dataclass(frozen=True)
class Row:
    """What is known of one configuration on one workload.

    Parameters
    ----------
    label, digest, settings
        The configuration.
    outcome, reason
        Of its last trial; a single bad outcome outweighs good ones.
    time_s
        Steady wall seconds of one prediction, None where it never got so far.
    cpu_s
        User and system seconds of a steady pass, median.
    peak_rss_bytes
        Largest resident set of any of its trials.
    utilisation
        Median over steady passes, 1 for all allowed CPUs all the time.
    compile_s
        Median compile time of trials whose program did not come from a cache and that were
        started alone.
    agreement, distance
        Class against the reference configuration, and the largest distance of any quantity.
    speedup
        Stock's time over this one's, from interleaved pairs; None where no pair leads to stock.
    trials
        Identifiers of the records behind the row.
    """

    label: str
    digest: str
    settings: dict[str, str]
    outcome: Outcome
    reason: str
    time_s: Interval | None
    cpu_s: float | None
    peak_rss_bytes: int
    utilisation: float | None
    compile_s: float | None
    agreement: str | None
    distance: float | None
    speedup: Interval | None
    trials: tuple[str, ...]

    @property
    def eligible(self) -> bool:
        """Whether it may be recommended: it ran, is finite and agrees."""
        return self.outcome is Outcome.OK and self.agreement not in (None, "none")


@dataclass(frozen=True)
class Recommendation:
    """The best configuration of a study and all that it was chosen from.

    Parameters
    ----------
    rows
        One a configuration, fastest first, those without a time last.
    stock, best
        Rows of the stock configuration and of the recommended one; ``best`` is stock's own row
        where nothing is surely faster, and None where not even stock ran.
    sentence
        What was won and how sure that is.
    """

    rows: tuple[Row, ...]
    stock: Row | None
    best: Row | None
    sentence: str


def measured_at_own_fidelity(records: Sequence[Record]) -> list[Record]:
    """The records that configurations are compared on: those of parts and longer runs left out."""
    return [record for record in records if record.role not in PARTS_ROLES]


def recommend(records: Sequence[Record]) -> Recommendation:
    """The recommendation that a study's records support.

    Parameters
    ----------
    records
        Records of one study and one workload, see :func:`measured_at_own_fidelity`.
    """
    ratios = _speedups(records)
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record.configuration.digest].append(record)
    rows = [_row(group, ratios.get(digest)) for digest, group in grouped.items()]
    rows.sort(key=_order)
    stock = next((row for row in rows if row.label == STOCK_LABEL), None)
    best = _best(rows, stock)
    return Recommendation(tuple(rows), stock, best, _sentence(stock, best))


def _order(row: Row) -> tuple[float, float]:
    if row.speedup is not None:
        return (0.0, -row.speedup.median)
    return (1.0, row.time_s.median) if row.time_s is not None else (2.0, 0.0)


def _best(rows: Sequence[Row], stock: Row | None) -> Row | None:
    """The eligible row whose speed-up over stock is surest: the highest lower end."""
    if stock is None:
        return None
    faster = [
        row
        for row in rows
        if row.eligible and row.speedup is not None and row.speedup.low > 1.0 and row is not stock
    ]
    if faster:
        # Rows with several pairs first: one lucky pair is no recommendation.
        return max(faster, key=lambda row: (_pairs(row) >= 2, _low(row)))
    return stock if stock.outcome is Outcome.OK else None


def _pairs(row: Row) -> int:
    return row.speedup.count if row.speedup is not None else 0


def _low(row: Row) -> float:
    return row.speedup.low if row.speedup is not None else 0.0


def _sentence(stock: Row | None, best: Row | None) -> str:
    if stock is None:
        return "Stock was not measured, so nothing can be recommended."
    if best is None:
        return f"Nothing can be recommended: stock ended {stock.outcome} ({stock.reason})."
    if best is stock or best.speedup is None:
        return "Stay with stock: nothing was surely faster at an equal answer."
    ratio = best.speedup
    pairs = f"{ratio.count} interleaved pair{'s' if ratio.count != 1 else ''}"
    return (
        f"{ratio.median:.2f} times as fast as stock "
        f"(95 % interval {ratio.low:.2f} to {ratio.high:.2f}, {pairs}), "
        f"agreement class {best.agreement}."
    )


def _row(group: Sequence[Record], speedup: Interval | None) -> Row:
    last = group[-1]
    worst = _worst(group)
    passes = [(record, stage) for record in group for stage in record.steady]
    walls = [stage.wall_s for _, stage in passes]
    compiled = [
        stage.wall_s
        for record in group
        if record.compilation is not None
        and record.compilation.cache != "hit"
        and not record.shared_start
        for stage in record.stages
        if stage.name == "compile"
    ]
    agreement, distance = _agreement(group)
    return Row(
        label=last.configuration.label,
        digest=last.configuration.digest,
        settings=last.configuration.settings,
        outcome=worst.outcome,
        reason=worst.reason,
        time_s=median_interval(walls) if walls else None,
        cpu_s=_median([stage.cpu_s for _, stage in passes]),
        peak_rss_bytes=max(record.peak_rss_bytes for record in group),
        utilisation=_median([record.utilisation(stage) for record, stage in passes]),
        compile_s=_median(compiled),
        agreement=agreement,
        distance=distance,
        speedup=Interval(1.0, 1.0, 1.0, len(walls))
        if last.configuration.settings == {} and walls
        else speedup,
        trials=tuple(record.id for record in group),
    )


def _worst(group: Sequence[Record]) -> Record:
    """The record that speaks for its configuration: a wrong answer before a failure before success.

    A run that the user interrupted says nothing against the configuration.
    """
    wrong = [r for r in group if r.outcome in (Outcome.NONFINITE, Outcome.DISAGREES)]
    failed = [r for r in group if r.outcome not in (Outcome.OK, Outcome.INTERRUPTED)]
    good = [r for r in group if r.outcome is Outcome.OK]
    return [*wrong, *failed, *good, *group][0]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _agreement(group: Sequence[Record]) -> tuple[str | None, float | None]:
    judged = [record.agreement for record in group if record.agreement is not None]
    if not judged:
        return None, None
    worst = max(judged, key=lambda told: AGREEMENT_NAMES.index(told.reached))
    return worst.reached, worst.largest_distance


def direct_ratios(
    records: Sequence[Record], confidence: float = CONFIDENCE
) -> dict[tuple[str, str], Interval]:
    """Speed-up of one configuration over another, by their digests, from interleaved rounds.

    Passes that trials of one block made in the same round are pairs.
    """
    blocks: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.block is not None:
            blocks[record.block].append(record)
    direct: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for members in blocks.values():
        for base, other in itertools.permutations(members, 2):
            edge = (base.configuration.digest, other.configuration.digest)
            if edge[0] != edge[1]:
                direct[edge] += _pairs_of(base, other)
    return {
        edge: paired_ratio([a for a, _ in pairs], [b for _, b in pairs], confidence)
        for edge, pairs in direct.items()
        if pairs
    }


def _speedups(records: Sequence[Record]) -> dict[str, Interval]:
    """Speed-up over stock a configuration digest, along chains of interleaved blocks."""
    stock = next((r.configuration.digest for r in records if not r.configuration.settings), None)
    return _chain(direct_ratios(records), stock)


def _pairs_of(base: Record, other: Record) -> list[tuple[float, float]]:
    """Wall seconds of the passes that both made in the same round."""
    times = {stage.round: stage.wall_s for stage in base.steady}
    return [(times[stage.round], stage.wall_s) for stage in other.steady if stage.round in times]


def _chain(ratios: dict[tuple[str, str], Interval], stock: str | None) -> dict[str, Interval]:
    """Ratios to stock: direct ones, else the product along the shortest way from it."""
    if stock is None:
        return {}
    found: dict[str, Interval] = {}
    frontier = [stock]
    while frontier:
        reached: list[str] = []
        for (base, other), ratio in ratios.items():
            if base not in frontier or other == stock or other in found:
                continue
            found[other] = ratio if base == stock else found[base] * ratio
            reached.append(other)
        frontier = reached
    return found

"""Summarise records as one row per configuration. Pure: runs nothing."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.stats.exact import median_interval
from perfkit.stats.interval import Interval
from perfkit.tuning.search.evidence import DETERMINISTIC, Evidence, gives_up


@dataclass(frozen=True)
class Row:
    """Measurements of one configuration on one workload.

    Attributes
    ----------
    label, digest, settings
        The configuration.
    outcome, reason
        Outcome of the trial that represents the configuration. A wrong answer outweighs all other
        outcomes; otherwise the last trial counts, because a crash may be an accident.
    time_s
        Steady wall seconds of one prediction at full depth: the median over processes of the median
        of their passes. None where no process reached a steady pass.
    cpu_s
        Median user and system seconds of a steady pass at full depth.
    peak_rss_bytes
        Largest resident set of all trials at full depth in a process of their own; 0 where there is
        none.
    utilisation
        Median over steady passes at full depth; 1 means all allowed CPUs all the time.
    compile_s
        Median compile time, in seconds, of trials at full depth that were started alone and whose
        program did not come from a cache.
    allowed_cpus
        Number of CPUs that the configuration runs on.
    agreement, distance
        Agreement class of the answer with the reference, and the largest distance of any quantity,
        without unit. They come from trials at full depth where there are any.
    declared
        Agreement class that the model promises for the configuration, or None in old records.
    speedup
        Time of stock over time of this configuration: from confirmation blocks where there are any,
        otherwise the median of interleaved rounds, without an interval. None where no chain of
        interleaved rounds leads to stock.
    blocks
        Number of confirmation blocks behind ``speedup``.
    trials
        Ids of the records behind the row.
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
    allowed_cpus: int
    agreement: str | None
    distance: float | None
    declared: str | None
    speedup: Interval | None
    blocks: int
    trials: tuple[str, ...]

    @property
    def eligible(self) -> bool:
        """Whether the configuration may be recommended: it ran, and its answer is right."""
        return self.outcome is Outcome.OK and self.agreement not in (None, "none")


def rows_of(records: Sequence[Record], evidence: Evidence) -> list[Row]:
    """One row per configuration, fastest first, those without a time last.

    Parameters
    ----------
    records
        Records of one study and one workload, at one fidelity.
    evidence
        Evidence of the same records.
    """
    speedups = _speedups(evidence)
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record.configuration.digest].append(record)
    rows = [
        _row(group, speedups.get(digest), len(evidence.confirmed(STOCK.digest, digest)))
        for digest, group in grouped.items()
    ]
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[float, float]:
    if row.speedup is not None:
        return (0.0, -row.speedup.median)
    return (1.0, row.time_s.median) if row.time_s is not None else (2.0, 0.0)


def _row(group: Sequence[Record], speedup: Interval | None, blocks: int) -> Row:
    last, representative = group[-1], _representative(group)
    # The times of a shallow network, and the memory of a shared process, are other quantities.
    full = [record for record in group if record.is_prediction]
    passes = [(record, stage) for record in full for stage in record.steady]
    medians = [
        statistics.median(stage.wall_s for stage in record.steady)
        for record in full
        if record.steady
    ]
    compiled = [
        stage.wall_s
        for record in full
        if record.compilation is not None
        and record.compilation.cache != "hit"
        and not record.shared_start
        for stage in record.stages
        if stage.name is StageName.COMPILE
    ]
    agreement, distance, declared = _agreement(full) or _agreement(group) or (None, None, None)
    is_stock = last.configuration.settings == {}
    measured = any(record.steady for record in group)
    return Row(
        label=last.configuration.label,
        digest=last.configuration.digest,
        settings=last.configuration.settings,
        outcome=representative.outcome,
        reason=representative.reason,
        time_s=median_interval(medians) if medians else None,
        cpu_s=_median([stage.cpu_s for _, stage in passes]),
        peak_rss_bytes=max((record.peak_rss_bytes for record in full), default=0),
        utilisation=_median([record.utilisation(stage) for record, stage in passes]),
        compile_s=_median(compiled),
        allowed_cpus=last.allowed_cpus,
        agreement=agreement,
        distance=distance,
        declared=declared,
        speedup=Interval(1.0, None, None, len(medians)) if is_stock and measured else speedup,
        blocks=blocks,
        trials=tuple(record.id for record in group),
    )


def _representative(group: Sequence[Record]) -> Record:
    """The record that represents its configuration.

    A wrong answer or a refusal would repeat itself and outweighs everything. Otherwise the last
    outcome counts, except that a single crash next to a good run was an accident, and that an
    interrupted run does not count against the configuration.
    """
    certain = [record for record in group if record.outcome in DETERMINISTIC]
    ended = [record for record in group if record.outcome is not Outcome.INTERRUPTED]
    good = [record for record in ended if record.outcome is Outcome.OK]
    if good and not gives_up([record.outcome for record in group]):
        return good[-1]
    return [*certain, *reversed(ended), *group][0]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _agreement(group: Sequence[Record]) -> tuple[str, float | None, str | None] | None:
    """Class, distance and declared class of the worst answer; None where none was compared."""
    judged = [record.agreement for record in group if record.agreement is not None]
    if not judged:
        return None
    worst = max(judged, key=lambda agreement: AGREEMENT_NAMES.index(agreement.reached))
    return worst.reached, worst.largest_distance, worst.declared


def _speedups(evidence: Evidence) -> dict[str, Interval]:
    """Speed-up over stock, by digest of the configuration.

    It comes from confirmation where there is one, otherwise it is the product of the medians along
    the shortest chain of interleaved rounds from stock.
    """
    medians = evidence.round_medians()
    found: dict[str, Interval] = {}
    frontier = {STOCK.digest}
    while frontier:
        reached = set[str]()
        for (base, other), (ratio, rounds) in medians.items():
            if base not in frontier or other == STOCK.digest or other in found:
                continue
            before = found[base] if base in found else Interval(1.0, None, None, rounds)
            count = min(before.count, rounds)
            found[other] = Interval(before.median * ratio, None, None, count)
            reached.add(other)
        frontier = reached
    confirmed: Mapping[str, Interval | None] = {
        digest: evidence.confirmation(STOCK.digest, digest) for digest in evidence.finalists
    }
    return found | {digest: ratio for digest, ratio in confirmed.items() if ratio is not None}

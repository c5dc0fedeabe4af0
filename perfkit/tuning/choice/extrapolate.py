"""Extrapolate from the times of the parts at low fidelity to a production prediction."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.interval import CONFIDENCE, Interval

ADDITION_ERROR = 0.05
"""Relative error of the sum of the parts, in addition to the differences between processes. Longer
runs that were measured were 0.3 to 4.5 % off (reports/plan-accuracy, reports/af3-ubiquitin)."""

LEAST_PROCESSES = 6
"""Least number of confirmed processes for an interval."""


@dataclass(frozen=True)
class Part:
    """One part of a prediction.

    Attributes
    ----------
    name
        Name of the part.
    seconds
        Seconds per run of the part.
    count
        Number of runs in the extrapolated prediction.
    """

    name: str
    seconds: float
    count: int


@dataclass(frozen=True)
class Check:
    """An extrapolation compared with a longer run that was measured.

    Attributes
    ----------
    fidelity
        Fidelity of the longer run.
    predicted_s, measured_s
        Wall seconds of a pass.
    """

    fidelity: dict[str, int]
    predicted_s: float
    measured_s: float

    @property
    def error(self) -> float:
        """Predicted time over measured time, minus one."""
        return self.predicted_s / self.measured_s - 1.0


@dataclass(frozen=True)
class Extrapolation:
    """The predicted steady time at a fidelity that was not measured.

    Attributes
    ----------
    label
        Label of the configuration.
    parts
        Parts of the prediction; seconds times counts add up to the median of ``total``.
    fidelity
        Fidelity of the prediction.
    total
        Predicted steady seconds; :func:`extrapolate` describes the interval.
    check
        The same sum for a longer run that was measured, or None where there is none.
    """

    label: str
    parts: tuple[Part, ...]
    fidelity: dict[str, int]
    total: Interval
    check: Check | None


def part_seconds(record: Record) -> dict[str, float]:
    """Seconds per run of each part, from a ``parts`` record; the rest runs once."""
    if record.part_times_s is None or record.compilation is None:
        return {}
    counts = record.compilation.parts
    return {name: seconds / counts.get(name, 1) for name, seconds in record.part_times_s.items()}


def predicted_s(seconds: Mapping[str, float], counts: Mapping[str, int]) -> float:
    """Sum over the parts of seconds per run times number of runs; the rest runs once."""
    return sum(part_s * counts.get(name, 1) for name, part_s in seconds.items())


def extrapolate(
    records: Sequence[Record],
    digest: str,
    production: Mapping[str, int],
    counts: Mapping[str, int],
) -> Extrapolation | None:
    """The production time of one configuration, or None where its parts were not measured.

    The parts trial gives the share of each part. The duration of a pass is the median of all passes
    at that fidelity, because a shared machine may be slow for longer than one trial.

    Parameters
    ----------
    records
        All records of the study, including those of the roles ``parts`` and ``check``.
    digest
        Digest of the configuration.
    production
        Fidelity to extrapolate to.
    counts
        Number of runs of each part at that fidelity.

    Returns
    -------
    Extrapolation
        Its interval is a prediction interval: the parts were measured in one process, and processes
        of one program keep different speeds. The spread is that of the confirmed processes of the
        configuration (Student's t on the logarithms of their medians, for a single further process:
        G. Hahn and W. Meeker, "Statistical Intervals" (1991), section 4.7), widened by
        :data:`ADDITION_ERROR`. With fewer than six confirmed processes there is no interval.
    """
    own = [
        record
        for record in records
        if record.configuration.digest == digest
        and record.outcome is Outcome.OK
        and record.is_prediction
    ]
    measured = [r for r in own if r.role == Role.PARTS and r.part_times_s]
    if not measured:
        return None
    record = measured[-1]
    seconds = _levelled(part_seconds(record), record, own)
    checks = [
        Check(
            fidelity=longer.workload.fidelity,
            predicted_s=predicted_s(seconds, longer.compilation.parts),
            measured_s=statistics.median(stage.wall_s for stage in longer.steady),
        )
        for longer in own
        if longer.role == Role.CHECK and longer.steady and longer.compilation is not None
    ]
    parts = tuple(Part(name, part_s, counts.get(name, 1)) for name, part_s in seconds.items())
    return Extrapolation(
        label=record.configuration.label,
        parts=parts,
        fidelity=dict(production),
        total=_with_interval(predicted_s(seconds, counts), own),
        check=checks[-1] if checks else None,
    )


def _with_interval(total_s: float, own: Sequence[Record]) -> Interval:
    """The prediction, with an interval from the spread of the configuration's processes."""
    medians = [
        math.log(statistics.median(stage.wall_s for stage in record.steady))
        for record in own
        if record.role == Role.CONFIRM and record.steady
    ]
    count = len(medians)
    if count < LEAST_PROCESSES:
        return Interval(total_s, None, None, count)
    spread = statistics.stdev(medians) * math.sqrt(1 + 1 / count)
    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * spread
    factor = math.exp(reach) * (1 + ADDITION_ERROR)
    return Interval(total_s, total_s / factor, total_s * factor, count)


def _levelled(
    seconds: dict[str, float], traced: Record, records: Sequence[Record]
) -> dict[str, float]:
    """Seconds of the parts, scaled to the median of all passes at the traced fidelity."""
    passes = [
        stage.wall_s
        for record in records
        if record.workload.fidelity == traced.workload.fidelity
        for stage in record.steady
    ]
    whole = sum((traced.part_times_s or {}).values())
    if not passes or not whole:
        return seconds
    level = statistics.median(passes) / whole
    return {name: part_s * level for name, part_s in seconds.items()}

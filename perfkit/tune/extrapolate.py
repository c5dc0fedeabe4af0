"""From the times of the parts at low fidelity to the time of a production prediction."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t

from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.interval import CONFIDENCE, Interval

ADDITION_ERROR = 0.05
"""By how much the sum of the parts may be off beyond the differences of processes: longer runs that
were measured lay 0.3 to 4.5 % from it (reports/plan-accuracy, reports/af3-ubiquitin)."""

LEAST_PROCESSES = 6
"""Confirmed processes without which there is no interval."""


@dataclass(frozen=True)
class Part:
    """One part of a prediction: seconds a run of it, and how often production runs it."""

    name: str
    seconds: float
    count: int


@dataclass(frozen=True)
class Check:
    """An extrapolation held against a longer run that was measured."""

    fidelity: dict[str, int]
    predicted_s: float
    measured_s: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_s / self.measured_s - 1.0


@dataclass(frozen=True)
class Extrapolation:
    """The steady time of a prediction at another fidelity than was measured.

    Parameters
    ----------
    label
        The configuration.
    parts
        Seconds and counts; their products add up to the median of ``total``.
    fidelity
        What is predicted.
    total
        Predicted steady seconds, see :func:`extrapolate` for its interval.
    check
        How far off the same addition was for a longer run, None where none was made.
    """

    label: str
    parts: tuple[Part, ...]
    fidelity: dict[str, int]
    total: Interval
    check: Check | None


def part_seconds(record: Record) -> dict[str, float]:
    """Seconds a single run of each part, and of the rest once, from a ``parts`` record."""
    if record.part_times_s is None or record.compilation is None:
        return {}
    counts = record.compilation.parts
    return {name: seconds / counts.get(name, 1) for name, seconds in record.part_times_s.items()}


def predicted_s(seconds: Mapping[str, float], counts: Mapping[str, int]) -> float:
    """Sum over the parts of seconds a run times runs, the rest once."""
    return sum(each * counts.get(name, 1) for name, each in seconds.items())


def extrapolate(
    records: Sequence[Record],
    digest: str,
    production: Mapping[str, int],
    counts: Mapping[str, int],
) -> Extrapolation | None:
    """The production time of one configuration, or None where its parts were not measured.

    The trial of the parts tells their shares; how long a pass takes, all passes at its fidelity
    tell together: a shared machine is at times slower than at others for longer than one trial.

    Parameters
    ----------
    records
        All records of the study, those of roles ``parts`` and ``check`` among them.
    digest
        The configuration's.
    production, counts
        The fidelity wanted, and how often it runs each part.

    Returns
    -------
    Extrapolation
        Its interval is one of prediction: the parts were measured in one process, and processes
        of one program differ for good. By how much is taken from the processes of this
        configuration that were confirmed (Student's t on the logarithms of their medians, as for
        a single further process: G. Hahn and W. Meeker, "Statistical Intervals" (1991), section
        4.7), and :data:`ADDITION_ERROR` is added. With fewer than six such processes there is no
        interval.
    """
    own = [r for r in records if r.configuration.digest == digest and r.outcome is Outcome.OK]
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
    parts = tuple(Part(name, each, counts.get(name, 1)) for name, each in seconds.items())
    return Extrapolation(
        label=record.configuration.label,
        parts=parts,
        fidelity=dict(production),
        total=_with_interval(predicted_s(seconds, counts), own),
        check=checks[-1] if checks else None,
    )


def _with_interval(total_s: float, own: Sequence[Record]) -> Interval:
    """The prediction with what processes of the configuration differ by."""
    medians = [
        math.log(statistics.median(stage.wall_s for stage in record.steady))
        for record in own
        if record.role == Role.CONFIRM and record.steady
    ]
    count = len(medians)
    if count < LEAST_PROCESSES:
        return Interval(total_s, None, None, count)
    spread = statistics.stdev(medians) * math.sqrt(1 + 1 / count)
    reach = float(student_t.ppf((1 + CONFIDENCE) / 2, count - 1)) * spread
    factor = math.exp(reach) * (1 + ADDITION_ERROR)
    return Interval(total_s, total_s / factor, total_s * factor, count)


def _levelled(
    seconds: dict[str, float], traced: Record, records: Sequence[Record]
) -> dict[str, float]:
    """Seconds of the parts, at the level of all passes at the fidelity of the traced ones."""
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
    return {name: each * level for name, each in seconds.items()}

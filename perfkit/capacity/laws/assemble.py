"""From the records of a study to a complete fit: laws, laws over CPUs, and held-out errors."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from perfkit.capacity.laws.fit import ONCE, ModelFit
from perfkit.capacity.laws.fitting import fit_records
from perfkit.capacity.laws.measure import median_pass_s
from perfkit.capacity.laws.observation import CACHE_HIT, Observation, observe
from perfkit.capacity.laws.parallel import CpuLaw, fit_contention, fit_cpu_law
from perfkit.capacity.laws.prediction import HeldOut
from perfkit.capacity.laws.terms import features_of, size_feature
from perfkit.errors import UserError
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import STARTUP_STAGES, StageName

TIME, MEMORY = "time", "memory"
WITHIN, BEYOND = "within", "beyond"

REACH = 2.0
"""Largest size at which extrapolations are evaluated, relative to the largest fitted size."""


def assemble(records: Sequence[Record]) -> ModelFit:
    """Fit the records of a study, including everything else that they determine.

    Parameters
    ----------
    records
        Records of one model: trials of :class:`perfkit.capacity.laws.measure.FitMeasurement`, or
        of a tuning or sweep that traced the parts.

    Raises
    ------
    UserError
        No trial succeeded, or :func:`perfkit.capacity.laws.fitting.fit_records` refuses them.
    """
    good = [record for record in records if record.outcome is Outcome.OK]
    usable = [r for r in good if r.role not in (Role.CACHED, Role.TOGETHER, Role.FOREIGN)]
    if not usable:
        raise UserError("no trial succeeded, so there is nothing to fit")
    points = _points(usable)
    fit = fit_records(points)
    unseen = [r for r in good if r.role == Role.HELD_OUT and r.allowed_cpus == fit.cpus]
    held_out = [*_errors(fit, unseen), *_left_out(points), *_extrapolated(points)]
    running, starting = cpu_laws(usable)
    return fit.model_copy(
        update={
            "running_cpus": running,
            "starting_cpus": starting,
            "contention": contention(good),
            "cached_compile_s": _cached_compile_s(good),
            "held_out": tuple(held_out),
        }
    )


def _points(usable: Sequence[Record]) -> list[Record]:
    """Return trials with traced parts at the commonest CPU count, and those that only compiled."""
    traced = [r for r in usable if r.part_times_s and r.role not in (Role.HELD_OUT, Role.CPUS)]
    counts = Counter(record.allowed_cpus for record in traced)
    cpus = max(counts, key=lambda count: (counts[count], count), default=0)
    compiled = [record for record in usable if record.role == Role.COMPILED]
    return [*(record for record in traced if record.allowed_cpus == cpus), *compiled]


def cpu_laws(records: Iterable[Record]) -> tuple[CpuLaw | None, CpuLaw | None]:
    """Fit the laws of passes and of the start over CPUs.

    The workload and preset with the most CPU counts determine both.

    Returns
    -------
    running, starting : CpuLaw or None
        None where there are fewer than two CPU counts. The start of a trial that loaded its program
        from the compilation cache does not count.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.steady and record.outcome is Outcome.OK:
            key = (record.workload.digest, _label_without_cpus(record))
            groups.setdefault(key, []).append(record)
    best = max(groups.values(), key=lambda group: len({r.allowed_cpus for r in group}), default=[])
    if len({record.allowed_cpus for record in best}) < 2:
        return None, None
    starts: dict[int, list[float]] = {}
    for record in best:
        if record.compilation is not None and record.compilation.cache == CACHE_HIT:
            continue
        seconds = sum(stage.wall_s for stage in record.stages if stage.name in STARTUP_STAGES)
        starts.setdefault(record.allowed_cpus, []).append(seconds)
    starting = fit_cpu_law(starts) if len(starts) > 1 else None
    return fit_cpu_law(median_pass_s(best)), starting


def _label_without_cpus(record: Record) -> str:
    settings = record.configuration.settings.items()
    return str(sorted(pair for pair in settings if pair[0] != CPUS_KNOB.name))


def contention(records: Sequence[Record]) -> float | None:
    """Return the slow-down while other instances fill the machine, None if not measured.

    See :func:`perfkit.capacity.laws.parallel.fit_contention`.
    """
    together = [r for r in records if r.role == Role.TOGETHER and r.steady]
    if len(together) < 2:
        return None
    one = together[0]
    alone = [
        r
        for r in records
        if r.role == Role.CPUS
        and r.allowed_cpus == one.allowed_cpus
        and r.workload.digest == one.workload.digest
        and r.steady
    ]
    if not alone:
        return None
    shared = median_pass_s(together)[one.allowed_cpus]
    alone_s = statistics.median(median_pass_s(alone)[one.allowed_cpus])
    return fit_contention(alone_s, {len(together): statistics.median(shared)})


def _cached_compile_s(records: Sequence[Record]) -> float | None:
    hits = [
        stage.wall_s
        for r in records
        if r.role == Role.CACHED and r.compilation is not None and r.compilation.cache == CACHE_HIT
        for stage in r.stages
        if stage.name is StageName.COMPILE
    ]
    return statistics.median(hits) if hits else None


def _errors(fit: ModelFit, records: Iterable[Record]) -> list[HeldOut]:
    """Return the fit's predictions of runs that it has not seen, and the measurements.

    The measurement is the median of all trials of a workload.
    """
    alike: dict[str, list[tuple[Observation, float, int]]] = defaultdict(list)
    for record in records:
        one = observe(record)
        if one is None or one.shallow:
            continue
        if one.steady_s is not None and one.peak_rss_bytes:
            alike[record.workload.digest].append((one, one.steady_s, one.peak_rss_bytes))
    found = []
    for trials in alike.values():
        one = trials[0][0]
        size = one.features[size_feature(fit.model)]
        if fit.refusal(one.features) is not None or size > REACH * fit.largest_size:
            continue
        seconds = fit.seconds(one.features, one.counts)
        parts = {name: seconds[name] for name in seconds if name not in ONCE}
        time_s = statistics.median(time_s for _, time_s, _ in trials)
        peak_bytes = statistics.median(peak_bytes for _, _, peak_bytes in trials)
        measured = (
            (TIME, fit.time_range(one.features, parts), time_s, fit.largest_size),
            (
                MEMORY,
                fit.memory_range(one.features, 1),
                float(peak_bytes),
                fit.memory_measured_to or fit.largest_size,
            ),
        )
        found += [
            HeldOut(
                quantity=quantity,
                place=WITHIN if fit.least_size <= size <= most else BEYOND,
                size=size,
                predicted=predicted,
                measured=value,
            )
            for quantity, predicted, value, most in measured
        ]
    return found


def fitted_size(record: Record) -> float:
    """Return the size of a trial after padding, in the unit of the model's laws."""
    features = features_of(record.workload, record.configuration.settings)
    return features[size_feature(record.workload.model)]


def _sizes(points: Iterable[Record]) -> list[float]:
    return sorted({fitted_size(record) for record in points if record.part_times_s})


def _left_out(points: Sequence[Record]) -> list[HeldOut]:
    """Predict each size except the smallest and largest from a fit of the others."""
    found = []
    for size in _sizes(points)[1:-1]:
        kept = [record for record in points if fitted_size(record) != size]
        found += _errors_without(kept, [record for record in points if fitted_size(record) == size])
    return found


def _extrapolated(points: Sequence[Record]) -> list[HeldOut]:
    """Predict sizes up to :data:`REACH` times the largest from fits of smaller sizes."""
    found = []
    for largest in _sizes(points)[:-1]:
        kept = [record for record in points if fitted_size(record) <= largest]
        beyond = [r for r in points if largest < fitted_size(r) <= REACH * largest]
        found += _errors_without(kept, beyond)
    return found


def _errors_without(kept: Sequence[Record], unseen: Sequence[Record]) -> list[HeldOut]:
    """Return the errors of a fit of ``kept``, none where that is too little to fit."""
    try:
        fit = fit_records(kept)
    except UserError:
        return []
    return _errors(fit, unseen)


class Accuracy(NamedTuple):
    """Errors of the predictions of one quantity.

    Attributes
    ----------
    quantity
        ``time`` or ``memory``.
    place
        ``within`` the fitted range of sizes, or ``beyond`` it.
    cases
        Number of predictions.
    mean_error, largest_error
        Mean and largest absolute relative error.
    inside
        Share of measurements inside their intervals, whose nominal coverage is
        :data:`perfkit.capacity.laws.prediction.COVERAGE`.
    """

    quantity: str
    place: str
    cases: int
    mean_error: float
    largest_error: float
    inside: float


def accuracies(held_out: Sequence[HeldOut]) -> list[Accuracy]:
    """Summarise held-out predictions by quantity and place, without empty groups."""
    found = []
    for quantity in (TIME, MEMORY):
        for place in (WITHIN, BEYOND):
            own = [one for one in held_out if (one.quantity, one.place) == (quantity, place)]
            if own:
                errors = [abs(one.error) for one in own]
                inside = sum(one.inside for one in own) / len(own)
                mean = statistics.mean(errors)
                found.append(Accuracy(quantity, place, len(own), mean, max(errors), inside))
    return found

"""Time and memory of a job on a kind of machine, and what keeps it from running there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.parallel import contention_factor
from perfkit.capacity.laws.prediction import WIDEST, Range
from perfkit.capacity.queue.jobs import call_count, job_features, run_counts
from perfkit.capacity.queue.machines import Machine
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.base import REST
from perfkit.models.costs import Job
from perfkit.records.stages import StageName
from perfkit.units import bytes_text, seconds_text

STARTING = (StageName.IMPORT, StageName.PREPARE, StageName.TRACE, StageName.CHECK)
"""Stages that scale with the CPUs as the start does. Compilation is counted separately."""

MEMORY_SIZES_GB = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Usual memory sizes of machines."""

ROUNDING = 1e-9
"""Relative rounding error of a factor that is compared with its limit."""

MOST_CORES = 1024
"""Largest number of cores in the search for a machine that is fast enough."""


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a job on all CPUs of the fit's machine.

    Attributes
    ----------
    running_s
        Seconds of all passes.
    starting_s
        Seconds of import, preparation, tracing and checking.
    compile_s
        Seconds of compilation.
    low, high
        Ends of the interval of the sum of these times, as factors on it.
    memory
        Peak resident bytes.
    """

    running_s: float
    starting_s: float
    compile_s: float
    low: float
    high: float
    memory: Range


def estimate(job: Job, fit: ModelFit, bucket: int | None = None) -> Estimate:
    """Estimate a job under the fit's preset.

    Parameters
    ----------
    job
        The job.
    fit
        A fit of the job's model.
    bucket
        Size to pad to, None for that of the preset.

    Raises
    ------
    UserError
        The fit does not hold for the job, or its interval is too wide.
    """
    features = job_features(job, padded_settings(fit, bucket))
    refusal = fit.refusal(features)
    if refusal is not None:
        raise UserError(f"{refusal}: measure them with 'perfkit plan fit'")
    counts = run_counts(job)
    # The time outside all parts can be too short to be measured.
    missing = [part for part in counts if counts[part] and part not in (REST, *fit.laws)]
    if missing:
        raise UserError(
            f"the fit {fit.label} has no law of {missing[0]}: measure it again with "
            "'perfkit plan fit'"
        )
    seconds = fit.seconds(features, counts)
    total = fit.time_range(features, seconds)
    memory = fit.memory_range(features, call_count(job))
    for what, found in (("time", total), ("memory", memory)):
        if found.high >= found.value * WIDEST * (1 - ROUNDING):
            raise UserError(
                f"the fit {fit.label} says nothing about the {what} of such a job (its interval "
                f"spans a factor of {WIDEST:g} and more): measure more sizes, nearer to it"
            )
    starting_s = sum(seconds.get(name, 0.0) for name in STARTING)
    compile_s = seconds.get(StageName.COMPILE, 0.0)
    return Estimate(
        running_s=sum(seconds.values()) - starting_s - compile_s,
        starting_s=starting_s,
        compile_s=compile_s,
        low=total.low / total.value,
        high=total.high / total.value,
        memory=memory,
    )


def padded_settings(fit: ModelFit, bucket: int | None) -> dict[str, str]:
    """Return the fit's settings with inputs padded to ``bucket``.

    None, or a model that pads nothing, leaves the settings as they are.
    """
    knob = get_model(fit.model).costs.padding_knob
    if bucket is None or knob is None:
        return dict(fit.settings)
    return {**fit.settings, knob: str(bucket)}


@dataclass(frozen=True)
class TimeFactors:
    """Time of an instance on a machine divided by time on the fit's machine.

    Attributes
    ----------
    running, starting
        Factors on the passes, and on start and compilation.
    spread
        Factor by which the interval widens on both sides.
    """

    running: float
    starting: float
    spread: float = 1.0

    def seconds(self, job: Estimate, compile_s: float) -> Range:
        """Return the time of a job on the machine.

        Parameters
        ----------
        job
            Estimate on the fit's machine.
        compile_s
            Seconds of compilation on the fit's machine.
        """
        value = job.running_s * self.running + (job.starting_s + compile_s) * self.starting
        return Range(
            value=value,
            low=value * job.low / self.spread,
            high=value * job.high * self.spread,
        )


def instance_counts(machine: Machine) -> tuple[int, ...]:
    """Return the possible numbers of instances on a machine, ascending; each divides the next."""
    counts, left = [1], machine.cores
    while left > 1:
        factor = next(divisor for divisor in range(2, left + 1) if left % divisor == 0)
        counts.append(counts[-1] * factor)
        left //= factor
    return tuple(counts)


def time_factors(fit: ModelFit, machine: Machine, instances: int) -> TimeFactors:
    """Return the time factors of one of ``instances`` that fill a machine.

    Raises
    ------
    UserError
        The CPUs of an instance were not measured and there is no law of CPUs, or the calibration
        lacks the model.
    """
    cpus = machine.cores // instances
    running_law, starting_law, slower = fit.running_cpus, fit.starting_cpus, fit.contention
    factor_running = factor_starting = spread = 1.0
    base = fit.cpus
    if machine.calibration is not None:
        factor = machine.calibration.factor(fit)
        trial = machine.calibration.trial_for(fit)
        assert trial is not None
        factor_running, factor_starting, spread = factor.running, factor.starting, factor.spread
        base = trial.cpus
        running_law = trial.running_cpus or running_law
        starting_law = trial.starting_cpus or starting_law
        slower = trial.contention if trial.contention is not None else slower
    elif machine.speed is not None:
        factor_running = factor_starting = 1.0 / machine.speed
    if cpus != base and (running_law is None or starting_law is None):
        raise UserError(
            f"an instance would have {cpus} CPUs, the fit measured {base} and no law of CPUs: "
            "measure one with 'perfkit plan fit --cpus 1' or 'perfkit calibrate'"
        )
    crowd = contention_factor(slower or 0.0, instances)
    return TimeFactors(
        running=factor_running * crowd * (running_law.ratio(cpus, base) if running_law else 1.0),
        starting=factor_starting
        * crowd
        * (starting_law.ratio(cpus, base) if starting_law else 1.0),
        spread=spread,
    )


@dataclass(frozen=True)
class Risks:
    """The probabilities that a job exceeds what a plan requests for it.

    Attributes
    ----------
    memory, time
        Probability that a job needs more memory, or takes more time.
    """

    memory: float = 0.01
    time: float = 0.01


@dataclass(frozen=True)
class Request:
    """Time and memory that a job stays below at stated risks.

    Attributes
    ----------
    time_s, memory_bytes
        Seconds and resident bytes.
    """

    time_s: float
    memory_bytes: float


@dataclass(frozen=True)
class RunOption:
    """A job under a preset on a share of a machine.

    Attributes
    ----------
    fit
        Index of the fit whose preset is used.
    instances
        Number of equal shares of the machine; the job gets one of them.
    time, memory
        Seconds and peak resident bytes, corrected by finished jobs if there are any.
    request
        Time and memory to request.
    fitted_time, fitted_memory
        Predictions of the fit alone.
    """

    fit: int
    instances: int
    time: Range
    memory: Range
    request: Request
    fitted_time: Range
    fitted_memory: Range


def obstacle(time: Range, memory: Range, machine: Machine, instances: int) -> str | None:
    """Return why a job cannot run on a share of a machine, None if it can.

    The high ends of the intervals must fit.
    """
    return request_obstacle(Request(time.high, memory.high), machine, instances)


def request_obstacle(request: Request, machine: Machine, instances: int) -> str | None:
    """Return why a share of a machine does not hold what a job requests, None if it does."""
    room = machine.memory_bytes / instances
    if request.memory_bytes > room:
        return (
            f"needs up to {bytes_text(request.memory_bytes)} of memory, {machine.name} has "
            f"{bytes_text(room)}"
        )
    if machine.time_limit_s is not None and request.time_s > machine.time_limit_s:
        return (
            f"takes up to {seconds_text(request.time_s)}, the time limit of {machine.name} is "
            f"{seconds_text(machine.time_limit_s)}"
        )
    return None


def smallest_machine(
    job: Estimate, factors: Mapping[int, TimeFactors], memory_bytes: float, limit_s: float | None
) -> str:
    """Describe the smallest machine that a job would run on.

    Parameters
    ----------
    job
        Estimate on the fit's machine.
    factors
        Cores of a machine, ascending, to the time factors of a single instance.
    memory_bytes
        High end of the job's memory.
    limit_s
        Time limit, None for no limit.
    """
    size = next((gb for gb in MEMORY_SIZES_GB if gb * 1e9 >= memory_bytes), None)
    room = f"{size} GB of memory" if size else f"more than {MEMORY_SIZES_GB[-1]} GB of memory"
    if limit_s is None:
        return f"the smallest machine that would do has {room}"
    cores = next(
        (
            cores
            for cores, there in factors.items()
            if there.seconds(job, job.compile_s).high <= limit_s
        ),
        None,
    )
    if cores is None:
        return f"no number of cores of this kind would do within {seconds_text(limit_s)}"
    return f"the smallest machine that would do has {room} and {cores} cores of this kind"


def factors_by_cores(fit: ModelFit, machine: Machine) -> dict[int, TimeFactors]:
    """Return the time factors of a single instance on 1, 2, 4, ... cores of this kind of machine.

    Numbers of cores that no law covers are left out.
    """
    found = {}
    cores = 1
    while cores <= MOST_CORES:
        with contextlib.suppress(UserError):
            found[cores] = time_factors(fit, replace(machine, cores=cores), 1)
        cores *= 2
    return found

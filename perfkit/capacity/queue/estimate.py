"""What one job takes on one kind of machine: time, memory, how many at once, or why not."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.parallel import contention_factor
from perfkit.capacity.laws.prediction import WIDEST, Range
from perfkit.capacity.laws.terms import STAGES
from perfkit.capacity.queue.jobs import call_count, job_features, run_counts
from perfkit.capacity.queue.machines import Machine
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.base import REST
from perfkit.models.costs import CHECK, Job
from perfkit.units import bytes_text, seconds_text

STARTING = (*(name for name in STAGES if name != "compile"), CHECK)
"""What follows the CPUs as the start does; compilation is counted by itself."""

MEMORY_SIZES_GB = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
"""Machines as they are sold."""

ROUNDING = 1e-9
"""Relative, of a factor that is compared with its limit."""

MOST_CORES = 1024
"""Where the search for a machine that is fast enough ends."""


@dataclass(frozen=True)
class Estimate:
    """What a job takes on all CPUs of the fit's machine.

    Parameters
    ----------
    running_s, starting_s, compile_s
        Passes; import, preparing, tracing and checking; compilation.
    low, high
        Ends of the interval of their sum, as factors.
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
    """What ``job`` takes under the fit's preset.

    Parameters
    ----------
    bucket
        Tokens to pad to instead of what the preset says.

    Raises
    ------
    UserError
        The fit says nothing about such a job, or too little.
    """
    features = job_features(job, padded_settings(fit, bucket))
    refusal = fit.refusal(features)
    if refusal is not None:
        raise UserError(f"{refusal}: measure them with 'perfkit plan fit'")
    counts = run_counts(job)
    # What belongs to no part can be too little to be measured.
    missing = [part for part in counts if counts[part] and part not in (REST, *fit.laws)]
    if missing:
        raise UserError(
            f"the fit {fit.label} has no law of {missing[0]}: measure it again with "
            "'perfkit plan fit'"
        )
    seconds = fit.seconds(features, counts)
    total = fit.time_range(features, seconds)
    memory = fit.memory_range(features, call_count(job))
    for what, told in (("time", total), ("memory", memory)):
        if told.high >= told.value * WIDEST * (1 - ROUNDING):
            raise UserError(
                f"the fit {fit.label} says nothing about the {what} of such a job (its interval "
                f"spans a factor of {WIDEST:g} and more): measure more sizes, nearer to it"
            )
    starting_s = sum(seconds.get(name, 0.0) for name in STARTING)
    compile_s = seconds.get("compile", 0.0)
    return Estimate(
        running_s=sum(seconds.values()) - starting_s - compile_s,
        starting_s=starting_s,
        compile_s=compile_s,
        low=total.low / total.value,
        high=total.high / total.value,
        memory=memory,
    )


def padded_settings(fit: ModelFit, bucket: int | None) -> dict[str, str]:
    """Return the fit's settings with inputs padded to ``bucket``, None for the preset's own."""
    knob = get_model(fit.model).costs.padding_knob
    if bucket is None or knob is None:
        return dict(fit.settings)
    return {**fit.settings, knob: str(bucket)}


@dataclass(frozen=True)
class Pace:
    """How an instance on a machine compares with the fit's machine.

    Parameters
    ----------
    running, starting
        Factors on the times of passes, and of start and compilation.
    spread
        Factor by which the interval widens on both sides.
    """

    running: float
    starting: float
    spread: float = 1.0

    def seconds(self, taken: Estimate, compile_s: float) -> Range:
        """Time of a job whose compilation takes ``compile_s`` on the fit's machine."""
        value = taken.running_s * self.running + (taken.starting_s + compile_s) * self.starting
        return Range(
            value=value,
            low=value * taken.low / self.spread,
            high=value * taken.high * self.spread,
        )


def instance_counts(machine: Machine) -> tuple[int, ...]:
    """How many instances may share a machine: each divides the next, and the last the cores."""
    counts, left = [1], machine.cores
    while left > 1:
        factor = next(divisor for divisor in range(2, left + 1) if left % divisor == 0)
        counts.append(counts[-1] * factor)
        left //= factor
    return tuple(counts)


def pace(fit: ModelFit, machine: Machine, instances: int) -> Pace:
    """How fast one of ``instances`` that fill a machine is.

    Raises
    ------
    UserError
        The CPUs of an instance are not those that were measured, and no law of CPUs was fitted;
        or the calibration lacks the model.
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
    return Pace(
        running=factor_running * crowd * (running_law.ratio(cpus, base) if running_law else 1.0),
        starting=factor_starting
        * crowd
        * (starting_law.ratio(cpus, base) if starting_law else 1.0),
        spread=spread,
    )


@dataclass(frozen=True)
class Way:
    """One way of running a job: a preset, and the share of a machine that it gets.

    Parameters
    ----------
    fit
        Index of the fit, whose preset is used.
    instances
        That share the machine; 1 is all of it.
    time, memory
        What it takes.
    """

    fit: int
    instances: int
    time: Range
    memory: Range


def obstacle(time: Range, memory: Range, machine: Machine, instances: int) -> str | None:
    """Why a job does not go on a machine so, or None; the high ends of the intervals count."""
    room = machine.memory_bytes / instances
    if memory.high > room:
        return (
            f"needs up to {bytes_text(memory.high)} of memory, {machine.name} has "
            f"{bytes_text(room)}"
        )
    if machine.time_limit_s is not None and time.high > machine.time_limit_s:
        return (
            f"takes up to {seconds_text(time.high)}, the time limit of {machine.name} is "
            f"{seconds_text(machine.time_limit_s)}"
        )
    return None


def smallest_machine(
    taken: Estimate, paces: Mapping[int, Pace], memory_bytes: float, limit_s: float | None
) -> str:
    """The smallest machine that would do, in words.

    Parameters
    ----------
    paces
        Of a single instance by the cores of its machine, ascending.
    memory_bytes
        That the job needs at most.
    limit_s
        Time limit to keep, None for none.
    """
    size = next((gb for gb in MEMORY_SIZES_GB if gb * 1e9 >= memory_bytes), None)
    room = f"{size} GB of memory" if size else f"more than {MEMORY_SIZES_GB[-1]} GB of memory"
    if limit_s is None:
        return f"the smallest that would do has {room}"
    cores = next(
        (
            cores
            for cores, pace_there in paces.items()
            if pace_there.seconds(taken, taken.compile_s).high <= limit_s
        ),
        None,
    )
    if cores is None:
        return f"no number of cores of this kind would do within {seconds_text(limit_s)}"
    return f"the smallest that would do has {room} and {cores} cores of this kind"


def paces_by_cores(fit: ModelFit, machine: Machine) -> dict[int, Pace]:
    """The pace of a single instance on machines of this kind with 1, 2, 4, ... cores, ascending;
    those that no law says anything about are left out."""
    found = {}
    cores = 1
    while cores <= MOST_CORES:
        with contextlib.suppress(UserError):
            found[cores] = pace(fit, replace(machine, cores=cores), 1)
        cores *= 2
    return found

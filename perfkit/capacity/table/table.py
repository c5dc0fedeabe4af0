"""Time, memory and instances of a production run, for each size on each kind of machine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.laws.terms import size_feature
from perfkit.capacity.laws.transfer import transferred
from perfkit.capacity.queue.estimate import (
    Estimate,
    estimate,
    instance_counts,
    obstacle,
    time_factors,
)
from perfkit.capacity.queue.jobs import job_features, sized_job
from perfkit.capacity.queue.machines import Machine
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.costs import Job
from perfkit.units import HOUR_S


class MemorySource(StrEnum):
    """Source of a figure of memory."""

    MEASURED = "measured law"
    """Laws within the range of sizes whose peak memory was measured."""
    COMPILER = "compiler"
    """The compiler's count for the program of this size, and the law of measured overhead."""
    LAW = "law"
    """Laws beyond the measured sizes."""


@dataclass(frozen=True)
class SideBySide:
    """Equal instances that fill a machine.

    Attributes
    ----------
    instances
        Number of instances.
    cpus
        CPUs of each.
    time
        Seconds of one prediction in an instance while all run.
    """

    instances: int
    cpus: int
    time: Range

    @property
    def per_hour(self) -> float:
        """Predictions per hour of the whole machine."""
        return self.instances * HOUR_S / self.time.value


@dataclass(frozen=True)
class Cell:
    """One size on one kind of machine.

    Attributes
    ----------
    size
        The size as a user writes it.
    job
        A production run of that size.
    padded
        The size after padding, in the model's unit.
    machine
        The machine.
    time
        Seconds of one prediction on the whole machine, with the start and compilation; None if no
        law predicts it.
    memory
        Peak resident bytes; None if no law predicts them.
    source
        Source of :attr:`memory`.
    reason
        Why the machine cannot run the size; empty if it can.
    best
        The number of instances with the most predictions per hour; None if the machine cannot run
        the size.
    size_factor
        The size over the largest size whose time was measured; above 1, times are extrapolated.
    cpus_factor
        The cores over the largest number of CPUs that was measured; above 1, times on the whole
        machine are extrapolated.
    """

    size: str
    job: Job
    padded: float
    machine: Machine
    time: Range | None
    memory: Range | None
    source: MemorySource
    reason: str
    best: SideBySide | None
    size_factor: float
    cpus_factor: float

    @property
    def feasible(self) -> bool:
        """Whether the machine can run the size."""
        return self.best is not None


@dataclass(frozen=True)
class CapacityTable:
    """The table of a model.

    Attributes
    ----------
    fit
        The laws.
    cells
        One cell for each machine and size, by machine.
    notices
        Facts that a reader must know.
    """

    fit: ModelFit
    cells: tuple[Cell, ...]
    notices: tuple[str, ...] = ()

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The machines, in the order of the cells."""
        return tuple({cell.machine.name: cell.machine for cell in self.cells}.values())

    def cells_on(self, machine: Machine) -> tuple[Cell, ...]:
        """Return the cells of a machine, in the order of the sizes."""
        return tuple(cell for cell in self.cells if cell.machine.name == machine.name)


def make_table(
    fit: ModelFit, sizes: Sequence[str], machines: Sequence[Machine], notices: Sequence[str] = ()
) -> CapacityTable:
    """Predict production runs of all sizes on all machines.

    Parameters
    ----------
    fit
        The laws.
    sizes
        Sizes as a user writes them.
    machines
        Kinds of machines. One with a calibration gets the laws at its own speed
        (:func:`perfkit.capacity.laws.transfer.transferred`).
    notices
        Facts that a reader must know, in addition to those of the fit.

    Raises
    ------
    UserError
        A size is impossible, or a calibration does not belong to the fit.
    """
    jobs = {size: sized_job(fit.model, size, size) for size in sizes}
    cells = []
    for machine in machines:
        there = fit if machine.calibration is None else transferred(fit, machine.calibration)
        plain = replace(machine, calibration=None)
        cells += [_cell(there, size, job, plain) for size, job in jobs.items()]
    return CapacityTable(fit, tuple(cells), (*notices, *fit.notices))


def memory_source(fit: ModelFit, features: dict[str, float]) -> MemorySource:
    """Return the source of a fit's figure of memory.

    Parameters
    ----------
    fit
        The laws.
    features
        Features of the prediction.
    """
    size = features[size_feature(fit.model)]
    if size <= (fit.memory_measured_to or fit.largest_size):
        return MemorySource.MEASURED
    return MemorySource.COMPILER if fit.knows_compiled_bytes(features) else MemorySource.LAW


def _cell(fit: ModelFit, size: str, job: Job, machine: Machine) -> Cell:
    features = job_features(job, fit.settings)
    padded = features[size_feature(fit.model)]
    law = fit.running_cpus
    cell = Cell(
        size=size,
        job=job,
        padded=padded,
        machine=machine,
        time=None,
        memory=None,
        source=memory_source(fit, features),
        reason="",
        best=None,
        size_factor=padded / fit.largest_size,
        cpus_factor=machine.cores / (fit.cpus if law is None else max(law.measured)),
    )
    try:
        one = estimate(job, fit)
    except UserError as error:
        return replace(cell, reason=str(error))
    cell = replace(cell, memory=one.memory)
    try:
        time = _time(fit, one, machine, 1)
    except UserError as error:
        return replace(cell, reason=str(error))
    reason = _why_not(time, one.memory, machine, 1)
    if reason is not None:
        return replace(cell, time=time, reason=reason)
    return replace(cell, time=time, best=_best(fit, one, machine))


def _time(fit: ModelFit, one: Estimate, machine: Machine, instances: int) -> Range:
    """Return the seconds of an instance, with the uncertainty of the law of CPUs."""
    found = time_factors(fit, machine, instances).seconds(one, one.compile_s)
    if fit.running_cpus is None:
        return found
    low, high = fit.running_cpus.ratio_range(machine.cores // instances, fit.cpus)
    return Range(value=found.value, low=found.low * low, high=found.high * high)


def _best(fit: ModelFit, one: Estimate, machine: Machine) -> SideBySide:
    """Return the instances with the most predictions per hour that memory and time allow."""
    possible = []
    for instances in instance_counts(machine):
        with contextlib.suppress(UserError):
            time = _time(fit, one, machine, instances)
            if _why_not(time, one.memory, machine, instances) is None:
                possible.append(SideBySide(instances, machine.cores // instances, time))
    return max(possible, key=lambda each: each.per_hour)


def _why_not(time: Range, memory: Range, machine: Machine, instances: int) -> str | None:
    """Return why the upper ends of the intervals exceed a share of a machine, None if not."""
    return obstacle(time, memory, machine, instances)


def sizes_of(model: str, sizes: str | None) -> list[str]:
    """Return the sizes of a table.

    Parameters
    ----------
    model
        Name of the model.
    sizes
        Sizes as a user writes them, separated by commas; None for the model's own.

    Raises
    ------
    UserError
        There are no sizes in the text.
    """
    own = get_model(model).costs.sizes
    if sizes is None:
        return list(own.table or own.feasibility)
    found = list(dict.fromkeys(word for part in sizes.split(",") if (word := part.strip())))
    if not found:
        raise UserError(
            f"--sizes names no size: write sizes such as {','.join(own.feasibility[:3])}"
        )
    return found

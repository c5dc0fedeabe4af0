"""The plan of a queue on machines: what runs where and when, at what price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.capacity.laws.assemble import REACH
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import relative_range
from perfkit.capacity.queue.accelerators import Comparison, compare
from perfkit.capacity.queue.candidates import Candidate, Queue
from perfkit.capacity.queue.estimate import Way, instance_counts
from perfkit.capacity.queue.exact import MOST_CHOICES, choices, improve
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.pack import Kind, Packing, Placement, Share, Task, machine_seconds, pack
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models.costs import Job, Reject

HOUR_S = 3600.0

_MOST_NAMED = 3
"""Jobs that share a notice and are named in it."""


@dataclass(frozen=True)
class PlannedJob:
    """One job with its place.

    Parameters
    ----------
    bucket
        Tokens it is padded to instead of what the preset says, None for the preset's own.
    compiles
        Whether it is counted as compiling its program.
    beyond
        Whether it is more than twice as large as anything that was measured.
    """

    job: Job
    machine: Machine
    fit: int
    way: Way
    placement: Placement
    bucket: int | None
    compiles: bool
    beyond: bool

    @property
    def cpus(self) -> int:
        """CPUs of the instance."""
        return self.machine.cores // self.way.instances

    @property
    def price(self) -> float | None:
        """Of the share of the machine for the time of the job, None without a price."""
        rate = self.machine.price_per_hour
        if rate is None:
            return None
        return self.way.time.value / HOUR_S / self.way.instances * rate


@dataclass(frozen=True)
class Use:
    """What a kind of machine does in a plan.

    Parameters
    ----------
    used
        Machines that any job runs on.
    hours
        Machine-hours from the begin to each machine's last job.
    busy
        Share of those hours, and of the machine, that jobs fill.
    price, energy_kwh
        None where the inventory does not tell.
    """

    machine: Machine
    used: int
    jobs: int
    hours: float
    busy: float
    price: float | None
    energy_kwh: float | None


@dataclass(frozen=True)
class Plan:
    """See :func:`make_plan`.

    Parameters
    ----------
    jobs
        In the order in which they begin.
    tasks
        What was packed, in the order that placements count in.
    """

    inventory: Inventory
    fits: tuple[ModelFit, ...]
    jobs: tuple[PlannedJob, ...]
    rejects: tuple[Reject, ...]
    packing: Packing
    tasks: tuple[Task, ...]
    notices: tuple[str, ...]

    @property
    def makespan_s(self) -> float:
        """When the last job ends."""
        return self.packing.makespan_s

    @property
    def relative_range(self) -> tuple[float, float]:
        """The interval of times, hours and prices, as factors on what the plan expects."""
        return relative_range(each.way.time for each in self.jobs)

    @property
    def price(self) -> float | None:
        """Of all machine-hours, None where a machine that is used has no price."""
        prices = [use.price for use in self.uses() if use.used]
        known = [price for price in prices if price is not None]
        return sum(known) if known and len(known) == len(prices) else None

    def uses(self) -> list[Use]:
        """What each kind of machine does, in the inventory's order."""
        return _uses(self.inventory.machines, self.packing.placements)

    def comparisons(self) -> list[Comparison]:
        """The queue on accelerators."""
        return compare([(each.job, each.price) for each in self.jobs])


def _uses(machines: Sequence[Machine], placements: Sequence[Placement]) -> list[Use]:
    seconds = machine_seconds(placements)
    found = []
    for kind, machine in enumerate(machines):
        own = [each for each in placements if each.kind == kind]
        hours = sum(value for (of, _), value in seconds.items() if of == kind) / HOUR_S
        filled = sum((each.end_s - each.begin_s) / each.instances for each in own) / HOUR_S
        rate, watts = machine.price_per_hour, machine.watts
        found.append(
            Use(
                machine=machine,
                used=len({each.node for each in own}),
                jobs=len(own),
                hours=hours,
                busy=filled / hours if hours else 0.0,
                price=None if rate is None else rate * hours,
                energy_kwh=None if watts is None else watts * hours / 1000,
            )
        )
    return found


def make_plan(
    jobs: Sequence[Job],
    inventory: Inventory,
    fits: Sequence[ModelFit],
    *,
    cached: bool = True,
    rejects: Sequence[Reject] = (),
) -> Plan:
    """Plan a queue.

    Parameters
    ----------
    cached
        Whether jobs share a compilation cache.
    rejects
        What could not be read, to stand beside what cannot be planned.
    """
    queue = Queue(jobs, inventory.machines, fits, cached=cached)
    candidates, impossible = queue.candidates()
    tasks = tasks_of(candidates)
    kinds = kinds_of(inventory.machines)
    packing = pack(tasks, kinds)
    if choices(tasks, kinds) <= MOST_CHOICES:
        packing = improve(tasks, kinds, packing)
    planned = [
        _planned(candidates[placement.task], inventory.machines, fits, placement)
        for placement in packing.placements
    ]
    return Plan(
        inventory=inventory,
        fits=tuple(fits),
        jobs=tuple(planned),
        rejects=(*rejects, *impossible),
        packing=packing,
        tasks=tuple(tasks),
        notices=tuple(dict.fromkeys([*_notices(inventory, fits), *_job_notices(planned)])),
    )


def tasks_of(candidates: Sequence[Candidate]) -> list[Task]:
    """The candidates as the packing sees them."""
    return [
        Task(
            tuple(
                tuple(Share(way.instances, way.time.value) for way in ways)
                for ways in candidate.ways
            )
        )
        for candidate in candidates
    ]


def kinds_of(machines: Sequence[Machine]) -> list[Kind]:
    """The machines as the packing sees them."""
    return [Kind(machine.count, instance_counts(machine)) for machine in machines]


def way_of(candidate: Candidate, placement: Placement) -> Way:
    """The way of running a job that the packing has chosen."""
    ways = candidate.ways[placement.kind]
    return next(way for way in ways if way.instances == placement.instances)


def _planned(
    candidate: Candidate,
    machines: Sequence[Machine],
    fits: Sequence[ModelFit],
    placement: Placement,
) -> PlannedJob:
    way = way_of(candidate, placement)
    return PlannedJob(
        job=candidate.job,
        machine=machines[placement.kind],
        fit=way.fit,
        way=way,
        placement=placement,
        bucket=candidate.buckets.get(way.fit),
        compiles=candidate.compiles,
        beyond=candidate.job.size > REACH * fits[way.fit].largest_size,
    )


def _notices(inventory: Inventory, fits: Sequence[ModelFit]) -> list[str]:
    """What a reader of any number must know."""
    told = [notice for fit in fits for notice in fit.notices]
    for machine in inventory.machines:
        if machine.speed is not None:
            told.append(
                f"{machine.name}: its speed ({machine.speed:g} of the fit's machine) was stated, "
                "not measured; intervals do not cover an error in it"
            )
        for fit in fits:
            law = fit.running_cpus
            own = machine.calibration.trial_for(fit) if machine.calibration else None
            if own is not None and own.running_cpus is not None:
                law = own.running_cpus
            if law is not None and machine.cores > max(law.measured):
                told.append(
                    f"{machine.name}: how {fit.model} follows the CPUs was measured up to "
                    f"{max(law.measured)} and is extrapolated to {machine.cores}"
                )
        if machine.numa > 1:
            told.append(
                f"{machine.name}: {machine.numa} NUMA nodes; instances that fill less than a "
                "node are bound to neighbouring CPUs, a larger one pays for remote memory, which "
                "was not measured"
            )
    return told


def _job_notices(planned: Sequence[PlannedJob]) -> list[str]:
    names: dict[str, list[str]] = {}
    for each in planned:
        for notice in each.job.notices:
            names.setdefault(notice, []).append(each.job.name)
    told = [
        f"{', '.join(alike) if len(alike) <= _MOST_NAMED else f'{len(alike)} jobs'}: {notice}"
        for notice, alike in names.items()
    ]
    far = sum(each.beyond for each in planned)
    return [*told, *([f"{far} job(s) are larger than twice what was measured"] if far else [])]


def ensure_measured_here(fits: Sequence[ModelFit], machine: dict[str, object]) -> str | None:
    """Why fits say nothing about the machine with this fingerprint, or None."""
    for fit in fits:
        if fit.machine.get("cpu") != machine.get("cpu"):
            return (
                f"the fit of {fit.model} was measured on {fit.machine.get('cpu')}, this machine "
                f"is {machine.get('cpu')}: give --calibration (from 'perfkit calibrate') or --speed"
            )
        if fit.cpus != len(allowed_cpus()) and fit.running_cpus is None:
            return (
                f"the fit of {fit.model} was measured on {fit.cpus} CPUs and without a law of "
                f"CPUs; here are {len(allowed_cpus())}"
            )
    return None

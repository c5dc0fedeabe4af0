"""The plan of a queue on machines: where and when each job runs, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perfkit.capacity.laws.assemble import REACH
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range, relative_range
from perfkit.capacity.queue.accelerators import Comparison, compare
from perfkit.capacity.queue.candidates import Candidate, Queue
from perfkit.capacity.queue.estimate import RunOption, instance_counts
from perfkit.capacity.queue.exact import MOST_CHOICES, choice_count, improve
from perfkit.capacity.queue.expected import Expectation
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.pack import Kind, Packing, Placement, Share, Task, machine_seconds, pack
from perfkit.capacity.queue.searches import PlannedSearch
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models.costs import Job, Reject
from perfkit.units import HOUR_S, count_text

_MOST_NAMED = 3
"""Largest number of jobs that a shared notice names."""


@dataclass(frozen=True)
class PlannedJob:
    """A job with its place in the plan.

    Attributes
    ----------
    job
        The job.
    machine
        Kind of machine that it runs on.
    fit
        Index of the fit whose preset is used.
    option
        Share of the machine, time and memory.
    placement
        Machine, share and times.
    bucket
        Size that the input is padded to, None for that of the preset.
    compiles
        Whether the job is counted as compiling its program.
    beyond
        Whether the job is more than :data:`perfkit.capacity.laws.assemble.REACH` times as large
        as the largest fitted size.
    search
        Genetic search before it, None for none.
    """

    job: Job
    machine: Machine
    fit: int
    option: RunOption
    placement: Placement
    bucket: int | None
    compiles: bool
    beyond: bool
    search: PlannedSearch | None = None

    @property
    def cpus(self) -> int:
        """Number of CPUs of the job."""
        return self.machine.cores // self.option.instances

    @property
    def price(self) -> float | None:
        """Price of the share of the machine for the time of the job, None without a price."""
        rate = self.machine.price_per_hour
        if rate is None:
            return None
        return self.option.time.value / HOUR_S / self.option.instances * rate


@dataclass(frozen=True)
class MachineUse:
    """The use of a kind of machine in a plan.

    Attributes
    ----------
    machine
        Kind of machine.
    used
        Number of machines that jobs run on.
    jobs, searches
        Number of predictions, and of genetic searches before them.
    hours
        Machine-hours from the start of the plan to the last job of each machine.
    busy
        Share of these machine-hours that jobs fill.
    price, energy_kwh
        Price and energy of these machine-hours, None where the inventory has no rate.
    """

    machine: Machine
    used: int
    jobs: int
    searches: int
    hours: float
    busy: float
    price: float | None
    energy_kwh: float | None


@dataclass(frozen=True)
class Plan:
    """A queue on machines.

    Attributes
    ----------
    inventory
        Machines of the plan.
    fits
        Fits that it rests on.
    jobs
        Planned jobs, in the order of their start.
    rejects
        Rows, jobs and machines that could not be planned.
    packing
        Schedule of the tasks.
    tasks
        The jobs as the packing sees them; placements hold indices into these.
    notices
        Facts that a reader of the plan must know.
    expectation
        Corrections by finished jobs, and risks of requests.
    """

    inventory: Inventory
    fits: tuple[ModelFit, ...]
    jobs: tuple[PlannedJob, ...]
    rejects: tuple[Reject, ...]
    packing: Packing
    tasks: tuple[Task, ...]
    notices: tuple[str, ...]
    expectation: Expectation = field(default_factory=Expectation)

    @property
    def makespan_s(self) -> float:
        """Seconds from the start of the plan to the end of the last job."""
        return self.packing.makespan_s

    @property
    def relative_range(self) -> tuple[float, float]:
        """The interval of times, hours and prices, as factors on their predictions.

        The stated hours of searches count as exact.
        """
        stated = (each.search.seconds for each in self.searches)
        exact = [Range(value=seconds, low=seconds, high=seconds) for seconds in stated]
        return relative_range([*(each.option.time for each in self.jobs), *exact])

    @property
    def searches(self) -> tuple[PlannedSearch, ...]:
        """Genetic searches, in the order of their predictions."""
        return tuple(each.search for each in self.jobs if each.search is not None)

    @property
    def price(self) -> float | None:
        """Price of all machine-hours, None where a used machine has no price."""
        prices = [use.price for use in self.uses() if use.used]
        known = [price for price in prices if price is not None]
        return sum(known) if known and len(known) == len(prices) else None

    def uses(self) -> list[MachineUse]:
        """Return the use of each kind of machine, in the inventory's order."""
        return _uses(self.inventory.machines, self.packing.placements, len(self.jobs))

    def comparisons(self) -> list[Comparison]:
        """Return the comparisons of the queue with accelerators."""
        return compare([(each.job, each.price) for each in self.jobs])


def _uses(
    machines: Sequence[Machine], placements: Sequence[Placement], predictions: int
) -> list[MachineUse]:
    """Return the use of machines. The tasks from number ``predictions`` on are searches."""
    seconds = machine_seconds(placements)
    found = []
    for kind, machine in enumerate(machines):
        own = [each for each in placements if each.kind == kind]
        hours = sum(value for (of, _), value in seconds.items() if of == kind) / HOUR_S
        searches = sum(each.task >= predictions for each in own)
        filled = sum((each.end_s - each.begin_s) / each.instances for each in own) / HOUR_S
        rate, watts = machine.price_per_hour, machine.watts
        found.append(
            MachineUse(
                machine=machine,
                used=len({each.node for each in own}),
                jobs=len(own) - searches,
                searches=searches,
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
    notices: Sequence[str] = (),
    expectation: Expectation | None = None,
) -> Plan:
    """Plan a queue.

    Parameters
    ----------
    jobs
        Jobs of the queue.
    inventory
        Machines.
    fits
        Fits, one per model and preset.
    cached
        Whether jobs share a compilation cache.
    rejects
        Rows and machines that could not be read, for the rejects of the plan.
    notices
        Facts that a reader must know of the fits in the environment of the jobs.
    expectation
        Corrections by finished jobs, and risks of requests.
    """
    expected = expectation or Expectation()
    queue = Queue(jobs, inventory.machines, fits, cached=cached, expectation=expected)
    candidates, impossible = queue.candidates()
    tasks = tasks_of(candidates)
    kinds = kinds_of(inventory.machines)
    packing = pack(tasks, kinds)
    if choice_count(tasks, kinds) <= MOST_CHOICES:
        packing = improve(tasks, kinds, packing)
    placed = {placement.task: placement for placement in packing.placements}
    planned = [
        _planned(candidates[placement.task], inventory.machines, fits, placement, search)
        for placement in packing.placements
        if placement.task < len(candidates)
        for search in [_search_of(tasks[placement.task], placed)]
    ]
    return Plan(
        inventory=inventory,
        fits=tuple(fits),
        jobs=tuple(planned),
        rejects=(*rejects, *impossible),
        packing=packing,
        tasks=tuple(tasks),
        notices=tuple(
            dict.fromkeys(
                [
                    *notices,
                    *_notices(inventory, fits),
                    *expected.notices(fits),
                    *_job_notices(planned),
                ]
            )
        ),
        expectation=expected,
    )


def tasks_of(candidates: Sequence[Candidate]) -> list[Task]:
    """Return one task of the packing per candidate, and after them one per genetic search."""
    searching = [number for number, each in enumerate(candidates) if each.search]
    search_of = {number: len(candidates) + place for place, number in enumerate(searching)}
    predictions = [
        Task(
            tuple(
                tuple(Share(option.instances, option.time.value) for option in options)
                for options in candidate.options
            ),
            after=search_of.get(number),
        )
        for number, candidate in enumerate(candidates)
    ]
    return [*predictions, *(Task(candidates[number].search) for number in searching)]


def kinds_of(machines: Sequence[Machine]) -> list[Kind]:
    """Return one kind of the packing per kind of machine."""
    return [Kind(machine.count, instance_counts(machine)) for machine in machines]


def option_of(candidate: Candidate, placement: Placement) -> RunOption:
    """Return the option of a candidate that the packing has chosen."""
    options = candidate.options[placement.kind]
    return next(option for option in options if option.instances == placement.instances)


def _planned(
    candidate: Candidate,
    machines: Sequence[Machine],
    fits: Sequence[ModelFit],
    placement: Placement,
    search: Placement | None,
) -> PlannedJob:
    option = option_of(candidate, placement)
    return PlannedJob(
        job=candidate.job,
        machine=machines[placement.kind],
        fit=option.fit,
        option=option,
        placement=placement,
        bucket=candidate.buckets.get(option.fit),
        compiles=candidate.compiles,
        beyond=candidate.job.size > REACH * fits[option.fit].largest_size,
        search=None
        if search is None or candidate.job.search is None
        else PlannedSearch(candidate.job.search, machines[search.kind], search),
    )


def _search_of(task: Task, placed: Mapping[int, Placement]) -> Placement | None:
    return None if task.after is None else placed[task.after]


def _notices(inventory: Inventory, fits: Sequence[ModelFit]) -> list[str]:
    """Return the facts that a reader of any number must know."""
    notices = [notice for fit in fits for notice in fit.notices]
    for machine in inventory.machines:
        if machine.speed is not None:
            notices.append(
                f"{machine.name}: its speed ({machine.speed:g} of the fit's machine) was stated, "
                "not measured; intervals do not cover an error in it"
            )
        for fit in fits:
            law = fit.running_cpus
            own = machine.calibration.trial_for(fit) if machine.calibration else None
            if own is not None and own.running_cpus is not None:
                law = own.running_cpus
            if law is not None and machine.cores > max(law.measured):
                notices.append(
                    f"{machine.name}: how {fit.model} scales with the CPUs was measured up to "
                    f"{max(law.measured)} and is extrapolated to {machine.cores}"
                )
        if machine.numa > 1:
            notices.append(
                f"{machine.name}: {machine.numa} NUMA nodes; instances that fill less than a "
                "node are bound to neighbouring CPUs, a larger one pays for remote memory, which "
                "was not measured"
            )
    return notices


def _job_notices(planned: Sequence[PlannedJob]) -> list[str]:
    names: dict[str, list[str]] = {}
    for each in planned:
        for notice in each.job.notices:
            names.setdefault(notice, []).append(each.job.name)
    notices = [
        f"{', '.join(alike) if len(alike) <= _MOST_NAMED else f'{len(alike)} jobs'}: {notice}"
        for notice, alike in names.items()
    ]
    searches = sum(each.search is not None for each in planned)
    if searches:
        notices.append(
            f"{count_text(searches, 'job')} with a genetic search: it takes the hours that the row "
            "states, on every kind of machine"
        )
    far = sum(each.beyond for each in planned)
    if far:
        subject = f"{count_text(far, 'job')} {'is' if far == 1 else 'are'}"
        notices.append(f"{subject} more than twice as large as the largest measured size")
    return notices


def reason_not_measured_here(fits: Sequence[ModelFit], machine: dict[str, object]) -> str | None:
    """Return why fits do not hold for the machine with this fingerprint, None where they do."""
    for fit in fits:
        if fit.machine.get("cpu") != machine.get("cpu"):
            return (
                f"the fit of {fit.model} was measured on {fit.machine.get('cpu')}, this machine "
                f"is {machine.get('cpu')}: give --calibration (from 'perfkit calibrate') or --speed"
            )
        if fit.cpus != len(allowed_cpus()) and fit.running_cpus is None:
            return (
                f"the fit of {fit.model} was measured on {fit.cpus} CPUs only, but this machine "
                f"has {len(allowed_cpus())}: repeat 'perfkit plan fit' here"
            )
    return None

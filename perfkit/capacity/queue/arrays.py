"""The jobs of a plan in job arrays, with the memory and time that each array requests."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.capacity.queue.searches import PlannedSearch
from perfkit.file_names import file_name
from perfkit.files import short_digest

ARRAY_LENGTH = 1000
"""Largest number of tasks per array. The default of Slurm's ``MaxArraySize`` is 1001."""

MEBIBYTE = 2**20

STATED_MARGIN = 2.0
"""Factor on the time of what was stated and not measured: the speed of a machine, the hours of a
search. No interval covers an error in them."""

LEAST_MINUTES = 10
"""Shortest time limit of a task: starting an environment from a network drive takes minutes."""

NAME_BYTES = 44
"""Longest name of a kind of machine in the name of an array; listings truncate it anyway."""

DIGEST_DIGITS = 6
"""Digits of the digest that tells the arrays of two plans apart."""


@dataclass(frozen=True)
class Array:
    """Jobs with the same kind of machine, share of it and preset.

    Attributes
    ----------
    machine
        Kind of machine.
    jobs
        Planned jobs, one per task.
    name
        Name of the array for the scheduler, unique among plans.
    """

    machine: Machine
    jobs: tuple[PlannedJob, ...]
    name: str

    @property
    def cpus(self) -> int:
        """Number of CPUs per task."""
        return self.jobs[0].cpus

    @property
    def mebibytes(self) -> int:
        """Memory per task in MiB: the largest request, at most the share of the machine."""
        needed = max(each.option.request.memory_bytes for each in self.jobs)
        return _mebibytes(needed, self.machine, self.jobs[0].option.instances)

    @property
    def minutes(self) -> int:
        """Time limit per task in minutes: the longest request, at most that of the machine."""
        longest_s = max(each.option.request.time_s for each in self.jobs)
        margin = 1.0 if self.machine.speed is None else STATED_MARGIN
        return _minutes(margin * longest_s, self.machine)

    @property
    def searches(self) -> tuple[PlannedSearch, ...]:
        """Genetic searches of the jobs, one per task; empty without any."""
        return tuple(each.search for each in self.jobs if each.search is not None)

    @property
    def search_mebibytes(self) -> int:
        """Memory per search in MiB: the largest that is stated, else the share of the machine."""
        first = self.searches[0]
        stated = [each.search.memory_bytes for each in self.searches]
        known = [memory for memory in stated if memory is not None]
        share = first.machine.memory_bytes / first.placement.instances
        needed = max(known) if len(known) == len(stated) else share
        return _mebibytes(needed, first.machine, first.placement.instances)

    @property
    def search_minutes(self) -> int:
        """Time limit per search in minutes."""
        longest_s = max(each.search.seconds for each in self.searches)
        return _minutes(STATED_MARGIN * longest_s, self.searches[0].machine)


def _mebibytes(needed_bytes: float, machine: Machine, instances: int) -> int:
    share = machine.memory_bytes // MEBIBYTE // instances
    # Slurm interprets 0 as all memory of the machine.
    return max(1, min(math.ceil(needed_bytes / MEBIBYTE), share))


def _minutes(seconds: float, machine: Machine) -> int:
    minutes = max(LEAST_MINUTES, math.ceil(seconds / 60))
    limit_s = machine.time_limit_s
    # Slurm interprets 0 as no limit.
    return minutes if limit_s is None else max(1, min(minutes, math.floor(limit_s / 60)))


def arrays(plan: Plan) -> list[Array]:
    """Group the jobs of a plan into arrays, in the order in which the first job of each starts.

    Jobs with a genetic search are in arrays of their own, whose searches have equal shares.
    """
    groups: dict[object, list[PlannedJob]] = {}
    for each in plan.jobs:
        search = each.search
        share = search and (search.placement.kind, search.placement.instances, search.search.cpus)
        key = (each.placement.kind, each.option.instances, each.option.fit, share)
        groups.setdefault(key, []).append(each)
    parts = [
        tuple(jobs[first : first + ARRAY_LENGTH])
        for jobs in groups.values()
        for first in range(0, len(jobs), ARRAY_LENGTH)
    ]
    digest = plan_digest(plan)
    return [
        Array(jobs[0].machine, jobs, _name(jobs[0].machine, number, digest))
        for number, jobs in enumerate(parts, 1)
    ]


def plan_digest(plan: Plan) -> str:
    """Return digits that tell a plan from others: of its jobs, their places and their requests."""
    return short_digest(
        [
            [each.job.name, each.machine.name, list(each.placement), each.option.request.time_s]
            for each in plan.jobs
        ],
        DIGEST_DIGITS,
    )


def _name(machine: Machine, number: int, digest: str) -> str:
    return f"{file_name(f'perfkit-{machine.name}', limit=NAME_BYTES)}-{number}-{digest}"


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """Return a unique folder name per job.

    Names that are file names are kept. Other names are converted. Where converted names coincide,
    or differ only in case, which some network drives ignore, all but the first get a number.

    Parameters
    ----------
    names
        Names of the jobs, all different.
    """
    plain = {name: file_name(name) for name in names}
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(plain, key=lambda each: plain[each] != each):
        chosen, number = plain[name], 1
        while chosen.casefold() in taken:
            number += 1
            chosen = f"{plain[name]}-{number}"
        taken.add(chosen.casefold())
        found[name] = chosen
    return found

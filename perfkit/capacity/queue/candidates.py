"""The ways in which each job can run: presets, padding, compilation, shares of machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.queue.buckets import choose_buckets
from perfkit.capacity.queue.estimate import (
    Estimate,
    Pace,
    Way,
    estimate,
    instance_counts,
    obstacle,
    pace,
    paces_by_cores,
    padded_settings,
    smallest_machine,
)
from perfkit.capacity.queue.jobs import call_count, job_features, run_counts
from perfkit.capacity.queue.machines import Machine
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.costs import Job, Reject


@dataclass(frozen=True)
class Candidate:
    """A job that can run somewhere.

    Parameters
    ----------
    ways
        A list a machine, in the inventory's order, of shares with the quickest preset for each.
    buckets
        Fit to the bucket that the queue gives the job, None where the preset's own holds.
    compiles
        Whether it is counted as compiling its program itself, instead of taking it from the cache.
    """

    job: Job
    ways: tuple[tuple[Way, ...], ...]
    buckets: Mapping[int, int | None]
    compiles: bool


class Queue:
    """Jobs, fits and machines, and what follows from them for every job.

    Parameters
    ----------
    cached
        Whether jobs share a compilation cache. The first jobs of each program, one a machine, are
        then counted as compiling it: they begin together and cannot wait for each other.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        machines: Sequence[Machine],
        fits: Sequence[ModelFit],
        *,
        cached: bool,
    ) -> None:
        self._jobs = jobs
        self._machines = machines
        self._fits = fits
        self._cached = cached

    def candidates(self) -> tuple[list[Candidate], list[Reject]]:
        """Jobs that can run somewhere, and those that cannot, with the reason."""
        found, rejects = [], []
        for index, job in enumerate(self._jobs):
            try:
                found.append(self._candidate(index, job))
            except UserError as error:
                rejects.append(Reject(job.name, job.origin, str(error)))
        return found, rejects

    def _candidate(self, index: int, job: Job) -> Candidate:
        taken = self._estimates(index, job)
        compiles = any(index in self._compiling.get(fit, ()) for fit in taken)
        ways = tuple(self._ways(taken, compiles, place) for place in range(len(self._machines)))
        if not any(ways):
            raise UserError(self._why_not(job, taken))
        return Candidate(
            job, ways, {fit: self._buckets.get((fit, index)) for fit in taken}, compiles
        )

    def _estimates(self, index: int, job: Job) -> dict[int, Estimate]:
        """By fit; refused where no fit says anything about the job."""
        own = [place for place, fit in enumerate(self._fits) if fit.model == job.model]
        if not own:
            raise UserError(
                f"there is no fit of {job.model}: measure one with "
                f"'perfkit plan fit --model {job.model}' and name it with --fit"
            )
        found = {}
        refusals = []
        for place in own:
            try:
                bucket = self._buckets.get((place, index))
                found[place] = estimate(job, self._fits[place], bucket)
            except UserError as error:
                refusals.append(str(error))
        if not found:
            raise UserError(f"{job.name}: {refusals[0]}")
        return found

    def _ways(self, taken: Mapping[int, Estimate], compiles: bool, place: int) -> tuple[Way, ...]:
        machine = self._machines[place]
        found = []
        for instances in instance_counts(machine):
            ways = []
            for fit, each in taken.items():
                there = self._pace(fit, place, instances)
                if not isinstance(there, Pace):
                    continue
                time = there.seconds(each, self._compile_s(fit, each, compiles))
                if obstacle(time, each.memory, machine, instances) is None:
                    ways.append(Way(fit, instances, time, each.memory))
            if ways:
                found.append(min(ways, key=lambda way: way.time.value))
        return tuple(found)

    def _compile_s(self, fit: int, taken: Estimate, compiles: bool) -> float:
        from_cache = self._fits[fit].cached_compile_s
        return taken.compile_s if compiles or from_cache is None else from_cache

    def _pace(self, fit: int, place: int, instances: int) -> Pace | str:
        return self._paces[fit, place, instances]

    @cached_property
    def _paces(self) -> dict[tuple[int, int, int], Pace | str]:
        """Of every fit on every share of every machine, or why nothing is known of it."""
        found: dict[tuple[int, int, int], Pace | str] = {}
        for fit, own in enumerate(self._fits):
            for place, machine in enumerate(self._machines):
                for instances in instance_counts(machine):
                    try:
                        found[fit, place, instances] = pace(own, machine, instances)
                    except UserError as error:
                        found[fit, place, instances] = str(error)
        return found

    @cached_property
    def _buckets(self) -> dict[tuple[int, int], int]:
        """Buckets chosen for the queue as a whole, where a cache makes sharing worth anything."""
        if not self._cached:
            return {}
        machines = sum(machine.count for machine in self._machines)
        found: dict[tuple[int, int], int] = {}
        for place, fit in enumerate(self._fits):
            costs = get_model(fit.model).costs
            if (
                costs.padding_knob is None
                or fit.cached_compile_s is None
                or not costs.shares_programs(fit.settings)
            ):
                continue
            groups: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
            for index, job in enumerate(self._jobs):
                if job.model == fit.model:
                    groups[_program_axes(job)].append(index)
            for group in groups.values():
                chosen = _group_buckets(self._jobs, group, fit, machines)
                found |= {(place, index): bucket for index, bucket in chosen.items()}
        return found

    @cached_property
    def _compiling(self) -> dict[int, set[int]]:
        """By fit the jobs that compile their program: the largest work first, one a machine."""
        if not self._cached:
            everybody = set(range(len(self._jobs)))
            return dict.fromkeys(range(len(self._fits)), everybody)
        machines = sum(machine.count for machine in self._machines)
        found: dict[int, set[int]] = {}
        for place, fit in enumerate(self._fits):
            shared = get_model(fit.model).costs.shares_programs(fit.settings)
            programs: dict[object, list[tuple[float, int]]] = defaultdict(list)
            for index, job in enumerate(self._jobs):
                if job.model != fit.model:
                    continue
                settings = padded_settings(fit, self._buckets.get((place, index)))
                try:
                    features = job_features(job, settings)
                except UserError:
                    continue
                own = None if shared else index
                key = (tuple(sorted(features.items())), _program_axes(job), own)
                programs[key].append((-float(call_count(job)), index))
            found[place] = {
                index for alike in programs.values() for _, index in sorted(alike)[:machines]
            }
        return found

    def _why_not(self, job: Job, taken: Mapping[int, Estimate]) -> str:
        """Every machine's obstacle with the preset that needs least, and what would do."""
        place, each = min(taken.items(), key=lambda item: item[1].memory.high)
        told = []
        limits = []
        for number, machine in enumerate(self._machines):
            there = self._pace(place, number, 1)
            if not isinstance(there, Pace):
                told.append(f"{machine.name}: {there}")
                continue
            time = there.seconds(each, self._compile_s(place, each, True))
            told.append(obstacle(time, each.memory, machine, 1) or f"not on {machine.name}")
            limits.append(machine.time_limit_s)
        limit = None if None in limits or not limits else max(each for each in limits if each)
        largest = max(self._machines, key=lambda machine: machine.cores)
        paces = paces_by_cores(self._fits[place], largest)
        smallest = smallest_machine(each, paces, each.memory.high, limit)
        return f"job {job.name!r} fits on no machine: {'; '.join(told)}; {smallest}"


def _program_axes(job: Job) -> tuple[tuple[str, int], ...]:
    axes = get_model(job.model).costs.program_axes
    return tuple((axis, job.fidelity[axis]) for axis in axes)


def _group_buckets(
    jobs: Sequence[Job], group: Sequence[int], fit: ModelFit, machines: int
) -> dict[int, int]:
    """Buckets of jobs whose programs differ only by size."""
    sizes = sorted({jobs[index].size for index in group})
    place = {size: number for number, size in enumerate(sizes)}
    counts: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(sizes))
    for index in group:
        for part, count in run_counts(jobs[index]).items():
            counts[part][place[jobs[index].size]] += count
    first = jobs[group[0]]
    settings = padded_settings(fit, first.size)
    base = job_features(first, settings)
    costs = get_model(fit.model).costs
    features = [costs.resized(base, float(size), settings) for size in sizes]
    laws = {part: fit.laws[part] for part in counts if part in fit.laws}
    seconds = {part: [law.value(each) for each in features] for part, law in laws.items()}
    # A fit of trials that all took their program from the cache has no law of compilation.
    compiling = fit.laws.get("compile")
    compile_s = [machines * compiling.value(each) if compiling else 0.0 for each in features]
    chosen = choose_buckets(sizes, {part: counts[part] for part in laws}, seconds, compile_s)
    return {index: chosen[place[jobs[index].size]] for index in group}

"""How each job of a queue can run: preset, bucket, compilation and share of a machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.queue.buckets import choose_buckets
from perfkit.capacity.queue.estimate import (
    Estimate,
    RunOption,
    TimeFactors,
    estimate,
    factors_by_cores,
    instance_counts,
    padded_settings,
    request_obstacle,
    smallest_machine,
    time_factors,
)
from perfkit.capacity.queue.expected import Expectation
from perfkit.capacity.queue.jobs import call_count, job_features, run_counts
from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.queue.pack import Share
from perfkit.capacity.queue.searches import search_shares
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.costs import Job, Reject
from perfkit.records.stages import StageName


@dataclass(frozen=True)
class Candidate:
    """A job that can run on some machine.

    Attributes
    ----------
    job
        The job.
    options
        For each kind of machine, in the inventory's order: for each possible share of a machine
        the fastest preset.
    buckets
        Index of a fit to the bucket that the queue gives the job, None for the preset's own.
    compiles
        Whether the job is counted as compiling its program instead of loading it from the cache.
    search
        For each kind of machine the share that the job's genetic search needs; empty without one.
    """

    job: Job
    options: tuple[tuple[RunOption, ...], ...]
    buckets: Mapping[int, int | None]
    compiles: bool
    search: tuple[tuple[Share, ...], ...] = ()


class Queue:
    """Estimates how each job can run, with what jobs share: buckets and compiled programs.

    Parameters
    ----------
    jobs
        Jobs of the queue.
    machines
        Kinds of machines.
    fits
        Fits, one per model and preset.
    cached
        Whether jobs share a compilation cache. The first jobs of each program, one per machine,
        are then counted as compiling it, because they start together.
    expectation
        Corrections by finished jobs, and risks of requests.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        machines: Sequence[Machine],
        fits: Sequence[ModelFit],
        *,
        cached: bool,
        expectation: Expectation | None = None,
    ) -> None:
        self._jobs = jobs
        self._machines = machines
        self._fits = fits
        self._cached = cached
        self._expectation = expectation or Expectation()

    def candidates(self) -> tuple[list[Candidate], list[Reject]]:
        """Return the jobs that can run on some machine, and the others with the reason."""
        found, rejects = [], []
        for index, job in enumerate(self._jobs):
            try:
                found.append(self._candidate(index, job))
            except UserError as error:
                rejects.append(Reject(job.name, job.origin, str(error)))
        return found, rejects

    def _candidate(self, index: int, job: Job) -> Candidate:
        estimates = self._estimates(index, job)
        compiles = any(index in self._compiling.get(fit, ()) for fit in estimates)
        options = tuple(
            self._options(estimates, compiles, machine) for machine in range(len(self._machines))
        )
        if not any(options):
            raise UserError(self._why_not(job, estimates))
        buckets = {fit: self._buckets.get((fit, index)) for fit in estimates}
        search = () if job.search is None else search_shares(job.search, self._machines)
        return Candidate(job, options, buckets, compiles, search)

    def _estimates(self, index: int, job: Job) -> dict[int, Estimate]:
        """Return index of a fit to the estimate of a job; raise where no fit holds for it."""
        own = [number for number, fit in enumerate(self._fits) if fit.model == job.model]
        if not own:
            raise UserError(
                f"there is no fit of {job.model}: measure one with "
                f"'perfkit plan fit --model {job.model}' and name it with --fit"
            )
        found = {}
        refusals = []
        for fit in own:
            try:
                found[fit] = estimate(job, self._fits[fit], self._buckets.get((fit, index)))
            except UserError as error:
                refusals.append(str(error))
        if not found:
            raise UserError(f"{job.name}: {refusals[0]}")
        return found

    def _options(
        self, estimates: Mapping[int, Estimate], compiles: bool, number: int
    ) -> tuple[RunOption, ...]:
        """Return the fastest preset on each possible share of the machine with this number.

        A preset that was measured in instances side by side runs in instances of that size where
        they are possible.
        """
        machine = self._machines[number]
        possible = []
        for instances in instance_counts(machine):
            for fit, one in estimates.items():
                factors = self._factors[fit, number, instances]
                if not isinstance(factors, TimeFactors):
                    continue
                option = self._option(fit, number, instances, one, compiles, factors)
                if request_obstacle(option.request, machine, instances) is None:
                    possible.append(option)
        as_measured = {option.fit for option in possible if self._is_as_measured(option, machine)}
        fastest: dict[int, RunOption] = {}
        for option in possible:
            if option.fit in as_measured and not self._is_as_measured(option, machine):
                continue
            rival = fastest.get(option.instances)
            if rival is None or option.time.value < rival.time.value:
                fastest[option.instances] = option
        return tuple(fastest[instances] for instances in sorted(fastest))

    def _option(
        self,
        fit: int,
        number: int,
        instances: int,
        one: Estimate,
        compiles: bool,
        factors: TimeFactors,
    ) -> RunOption:
        time = factors.seconds(one, self._compile_s(fit, one, compiles))
        return self._expectation.option(
            fit, self._fits[fit], self._machines[number], instances, time, one.memory
        )

    def _is_as_measured(self, option: RunOption, machine: Machine) -> bool:
        """Whether the share has as many CPUs as an instance had when the preset was measured."""
        return self._fits[option.fit].instance_cpus == machine.cores // option.instances

    def _compile_s(self, fit: int, one: Estimate, compiles: bool) -> float:
        from_cache = self._fits[fit].cached_compile_s
        return one.compile_s if compiles or from_cache is None else from_cache

    @cached_property
    def _factors(self) -> dict[tuple[int, int, int], TimeFactors | str]:
        """Time factors of each fit, machine and number of instances, or why there are none."""
        found: dict[tuple[int, int, int], TimeFactors | str] = {}
        for fit, own in enumerate(self._fits):
            for number, machine in enumerate(self._machines):
                for instances in instance_counts(machine):
                    try:
                        found[fit, number, instances] = time_factors(own, machine, instances)
                    except UserError as error:
                        found[fit, number, instances] = str(error)
        return found

    @cached_property
    def _buckets(self) -> dict[tuple[int, int], int]:
        """Fit and job to a bucket that is chosen for the whole queue, where a cache is shared."""
        if not self._cached:
            return {}
        machines = sum(machine.count for machine in self._machines)
        found: dict[tuple[int, int], int] = {}
        for number, fit in enumerate(self._fits):
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
                found |= {(number, index): bucket for index, bucket in chosen.items()}
        return found

    @cached_property
    def _compiling(self) -> dict[int, set[int]]:
        """Fit to the jobs that compile their program: those with most calls, one per machine."""
        if not self._cached:
            return {place: set(range(len(self._jobs))) for place in range(len(self._fits))}
        machines = sum(machine.count for machine in self._machines)
        found: dict[int, set[int]] = {}
        for number, fit in enumerate(self._fits):
            shared = get_model(fit.model).costs.shares_programs(fit.settings)
            programs: dict[object, list[tuple[float, int]]] = defaultdict(list)
            for index, job in enumerate(self._jobs):
                if job.model != fit.model:
                    continue
                settings = padded_settings(fit, self._buckets.get((number, index)))
                try:
                    features = job_features(job, settings)
                except UserError:
                    continue
                own = None if shared else index
                key = (tuple(sorted(features.items())), _program_axes(job), own)
                programs[key].append((-float(call_count(job)), index))
            found[number] = {
                index for alike in programs.values() for _, index in sorted(alike)[:machines]
            }
        return found

    def _why_not(self, job: Job, estimates: Mapping[int, Estimate]) -> str:
        """Return each machine's obstacle to the preset with least memory, and what would do."""
        fit, one = min(estimates.items(), key=lambda item: item[1].memory.high)
        obstacles = []
        limits = []
        needed = one.memory.high
        for number, machine in enumerate(self._machines):
            factors = self._factors[fit, number, 1]
            if not isinstance(factors, TimeFactors):
                obstacles.append(f"{machine.name}: {factors}")
                continue
            option = self._option(fit, number, 1, one, True, factors)
            needed = option.request.memory_bytes
            found = request_obstacle(option.request, machine, 1)
            obstacles.append(found or f"not on {machine.name}")
            limits.append(machine.time_limit_s)
        limit = None if None in limits or not limits else max(each for each in limits if each)
        largest = max(self._machines, key=lambda machine: machine.cores)
        factors_there = factors_by_cores(self._fits[fit], largest)
        smallest = smallest_machine(one, factors_there, needed, limit)
        return f"job {job.name!r} fits on no machine: {'; '.join(obstacles)}; {smallest}"


def _program_axes(job: Job) -> tuple[tuple[str, int], ...]:
    axes = get_model(job.model).costs.program_axes
    return tuple((axis, job.fidelity[axis]) for axis in axes)


def _group_buckets(
    jobs: Sequence[Job], group: Sequence[int], fit: ModelFit, machines: int
) -> dict[int, int]:
    """Return job to bucket, for jobs whose programs differ only by size."""
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
    # A fit of trials that all loaded their program from the cache has no law of compilation.
    compiling = fit.laws.get(StageName.COMPILE)
    compile_s = [machines * compiling.value(each) if compiling else 0.0 for each in features]
    chosen = choose_buckets(sizes, {part: counts[part] for part in laws}, seconds, compile_s)
    return {index: chosen[place[jobs[index].size]] for index in group}

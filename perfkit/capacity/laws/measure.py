"""The trials of a fit: what they are, and running those that are missing from the store."""

from __future__ import annotations

import secrets
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.cpus import ALL_CPUS, CPUS_KNOB
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.stats.exact import median_uncertainty
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.progress import Progress
from perfkit.tuning.runner import Runner
from perfkit.tuning.session import Session

COUNTED_ROLES = (Role.PARTS, Role.HELD_OUT, Role.CPUS, Role.COMPILED)
"""Roles with a fixed number of trials per workload and configuration."""

SETTLED = 0.05
"""Relative half-width of the median's interval at which no further pass is needed."""

MOST_ROUNDS = 4
"""Largest number of passes of a trial that does not settle, relative to the requested rounds."""


@dataclass(frozen=True)
class Step:
    """A trial of a fit.

    Attributes
    ----------
    workload, configuration
        What is computed, and how.
    role
        Purpose of the trial.
    traced
        Whether a pass under the profiler measures the parts.
    """

    workload: Workload
    configuration: Configuration
    role: Role
    traced: bool = True


@dataclass(frozen=True)
class FitPlan:
    """The trials that a fit needs.

    Attributes
    ----------
    model
        The model.
    workloads
        Points of the fit, smallest first.
    held_out
        Points that are only used to evaluate the fit.
    compiled
        Workloads that are only compiled.
    configuration
        Preset to fit.
    cpu_counts
        CPU counts to measure in addition to all CPUs.
    store
        Store of the records.
    rounds
        Timed passes per trial.
    cached
        Whether to measure the time to load a program from the compilation cache.
    repeats
        Trials per point. Processes of one program may differ permanently through their memory
        layout, which further passes do not average out.
    """

    model: Model
    workloads: tuple[Workload, ...]
    held_out: tuple[Workload, ...]
    compiled: tuple[Workload, ...]
    configuration: Configuration
    cpu_counts: tuple[int, ...]
    store: Store
    rounds: int
    cached: bool = True
    repeats: int = 1

    @cached_property
    def study(self) -> str:
        """Digest of machine, packages and configuration, so that further sizes join the study."""
        same = ["fit", self.model.name, setting_digest(), self.configuration.digest]
        return short_digest(same)

    @property
    def middle(self) -> Workload:
        """Workload of median size, on which CPUs and instances are varied."""
        own = self.workloads[0].fidelity
        alike = [each for each in self.workloads if each.fidelity == own]
        return alike[len(alike) // 2]

    def on_cpus(self, cpus: int) -> Configuration:
        """Return the preset on ``cpus`` CPUs."""
        return Catalogue(self.model.knobs).changed(self.configuration, CPUS_KNOB.name, str(cpus))

    @property
    def trials(self) -> int:
        """Number of trials of the whole plan."""
        together = 2 if self.cpu_counts else 0
        alone = sum(self.wanted(step.role) for step in self.steps())
        return alone + len(self.compiled) + together + (2 if self.cached else 0)

    def wanted(self, role: str) -> int:
        """Return the number of trials per workload in one of :data:`COUNTED_ROLES`."""
        return self.repeats if role in (Role.PARTS, Role.HELD_OUT) else 1

    def steps(self) -> list[Step]:
        """Return the trials that run alone, in the order in which they are measured."""
        points = [Step(each, self.configuration, Role.PARTS) for each in self.workloads]
        evaluated = [Step(each, self.configuration, Role.HELD_OUT) for each in self.held_out]
        counts = [
            Step(self.middle, self.on_cpus(cpus), Role.CPUS, traced=False)
            for cpus in self.cpu_counts
        ]
        return [*points, *evaluated, *counts]


class FitRunner(Runner, Protocol):
    """What makes the trials of a fit; :class:`perfkit.capacity.laws.runner.LiveFitRunner` does."""

    @property
    def cpus(self) -> int:
        """Number of CPUs that this process may use."""
        ...

    def compiled(
        self, workload: Workload, configuration: Configuration, labels: TrialLabels
    ) -> Record:
        """Return the record of a trial that only compiles."""
        ...

    def together(
        self, workload: Workload, configuration: Configuration, labels: TrialLabels, rounds: int
    ) -> list[Record]:
        """Run one trial per CPU at the same time and return their records."""
        ...


class FitMeasurement:
    """Runs the trials of a plan that the store does not hold yet.

    Parameters
    ----------
    plan
        The trials.
    runner
        Makes trials.
    progress
        Reports trials as they start and finish.
    """

    def __init__(self, plan: FitPlan, runner: FitRunner, progress: Progress) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress

    def run(self) -> None:
        """Run the missing trials."""
        # Repeats of a point are spread over time, because a machine may be slow for minutes.
        for number in range(1, self._plan.repeats + 1):
            for step in self._plan.steps():
                if not self._has(step, min(number, self._plan.wanted(step.role))):
                    self._measure(step)
        for workload in self._plan.compiled:
            step = Step(workload, self._plan.configuration, Role.COMPILED, traced=False)
            if not self._has(step):
                self._compile(step)
        self._measure_together()
        if self._plan.cached:
            self._measure_cached()

    def records(self) -> list[Record]:
        """Return the study's records so far, of repeated trials those with the most passes."""
        own = [r for r in self._plan.store.records() if r.study == self._plan.study]
        alike: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        for record in own:
            if (place := _place(record)) is not None:
                alike[place].append(record)
        kept = set()
        for place, trials in alike.items():
            role, *_ = place
            # The sort is stable: of trials with equally many passes the newest are kept.
            fullest = sorted(trials, key=lambda one: len(one.steady))[-self._plan.wanted(role) :]
            kept |= {record.id for record in fullest}
        return [r for r in own if _place(r) is None or r.id in kept]

    def _measure(self, step: Step) -> None:
        with self._session() as session:
            if session.open(step.workload, step.configuration, step.role):
                self._pass(session, step.configuration)
                if step.traced:
                    session.trace(step.configuration)

    def _pass(self, session: Session, configuration: Configuration) -> None:
        """Make passes until their median has settled, or until the trial ends."""
        made = -1
        while made < len(passes_s := session.passes_s(configuration)):
            if self._enough(passes_s):
                return
            made = len(passes_s)
            session.rounds([configuration], self._plan.rounds)

    def _compile(self, step: Step) -> None:
        self._progress.trial_started(step.role, f"{step.workload.size}")
        labels = TrialLabels(self._plan.study, step.role)
        self._keep([self._runner.compiled(step.workload, step.configuration, labels)])

    def _keep(self, records: Sequence[Record]) -> None:
        for record in records:
            self._plan.store.append(record)
            self._progress.trial_finished(record)
        if any(record.outcome is Outcome.INTERRUPTED for record in records):
            raise KeyboardInterrupt

    def _measure_together(self) -> None:
        """Measure as many instances as there are CPUs, each on its own CPU."""
        instances = self._runner.cpus
        alone = Step(self._plan.middle, self._plan.on_cpus(1), Role.CPUS, traced=False)
        if instances < 2 or not self._has(alone) or self._found(Role.TOGETHER):
            return
        self._progress.trial_started(Role.TOGETHER, f"{instances} instances of one CPU each")
        block = secrets.token_hex(4)
        labels = TrialLabels(self._plan.study, Role.TOGETHER, block, instances=instances)
        self._keep(
            self._runner.together(
                self._plan.middle, self._plan.configuration, labels, self._plan.rounds
            )
        )

    def _measure_cached(self) -> None:
        """Run the smallest workload twice with a compilation cache, which the second run hits."""
        step = Step(self._plan.workloads[0], self._plan.configuration, Role.CACHED)
        cache = TrialFiles(compile_cache=self._plan.store.folder / "compile-cache")
        while len(self._found(Role.CACHED)) < 2:
            with self._session() as session:
                if not session.open(step.workload, step.configuration, step.role, cache):
                    return

    def _found(self, role: str) -> list[Record]:
        return [
            r for r in self.records() if r.role == role and r.outcome is not Outcome.INTERRUPTED
        ]

    def _has(self, step: Step, wanted: int = 1) -> bool:
        """Return whether a trial failed or enough are complete; Ctrl-C leaves incomplete ones."""
        own = [
            record
            for record in self._found(step.role)
            if record.workload.digest == step.workload.digest
            and record.configuration.digest == step.configuration.digest
        ]
        failed = any(record.outcome is not Outcome.OK for record in own)
        return failed or sum(self._complete(record, step) for record in own) >= wanted

    def _complete(self, record: Record, step: Step) -> bool:
        if step.role == Role.COMPILED:
            return record.compilation is not None
        traced = not step.traced or bool(record.part_times_s)
        return traced and self._enough([stage.wall_s for stage in record.steady])

    def _enough(self, passes_s: Sequence[float]) -> bool:
        """Return whether the rounds are complete and the median of the passes has settled."""
        if len(passes_s) < self._plan.rounds:
            return False
        return (
            median_uncertainty(passes_s) <= SETTLED
            or len(passes_s) >= MOST_ROUNDS * self._plan.rounds
        )

    def _session(self) -> Session:
        return Session(self._runner, self._progress, self._plan.study, self._plan.store.append)


def _place(record: Record) -> tuple[str, ...] | None:
    """Return the key of trials that repeat each other, None where every trial counts."""
    if record.role not in COUNTED_ROLES or record.outcome is not Outcome.OK:
        return None
    return record.role, record.workload.digest, record.configuration.digest


def contrasting(workloads: Sequence[Workload], fidelity: Mapping[str, int]) -> list[Workload]:
    """Return the smallest, middle and largest workload at another fidelity.

    Parameters
    ----------
    workloads
        Points of a fit, smallest first.
    fidelity
        Axes to change (:attr:`perfkit.models.costs.CostModel.contrast`). Without any there is
        nothing to return.
    """
    if not fidelity:
        return []
    chosen = dict.fromkeys((0, len(workloads) // 2, len(workloads) - 1))
    return [workloads[index].with_fidelity(**fidelity) for index in chosen]


def median_pass_s(records: Iterable[Record]) -> dict[int, list[float]]:
    """Return CPU count to the median seconds of a timed pass of each record."""
    times: dict[int, list[float]] = defaultdict(list)
    for record in records:
        if record.steady:
            times[record.allowed_cpus].append(
                statistics.median(stage.wall_s for stage in record.steady)
            )
    return dict(times)


def parse_cpu_counts(text: str, available: int) -> tuple[int, ...]:
    """Parse CPU counts such as ``1,2,all``; those of all CPUs are left out.

    Raises
    ------
    UserError
        A value is not a CPU count.
    """
    counts = []
    for word in text.split(","):
        value = CPUS_KNOB.canonical(word)
        if value != ALL_CPUS and int(value) < available:
            counts.append(int(value))
    return tuple(dict.fromkeys(counts))

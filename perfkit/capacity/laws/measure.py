"""Running the trials of a fit that are missing from the store."""

from __future__ import annotations

import secrets
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from perfkit.capacity.laws.budget import beyond_budget
from perfkit.capacity.laws.fit_plan import COUNTED_ROLES, FitPlan, Step
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import median_uncertainty
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.session import Session

SETTLED = 0.05
"""Relative half-width of the median's interval at which no further pass is needed."""

MOST_ROUNDS = 4
"""Largest number of passes of a trial that does not settle, relative to the requested rounds."""


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
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        rounds: int,
        files: TrialFiles,
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
        self._begin_s = 0.0

    def run(self) -> None:
        """Run the missing trials; those beyond the budget are left out, and a sentence says so."""
        self._begin_s = self._runner.now_s()
        for workload in self._plan.compiled:
            step = Step(workload, self._plan.configuration, Role.COMPILED, traced=False)
            if not self._has(step):
                self._compile(step)
        if self._plan.cached:
            self._measure_cached()
        # Repeats of a point are spread over time, because a machine may be slow for minutes.
        for number in range(1, self._plan.repeats + 1):
            for step in self._plan.steps():
                wanted = min(number, self._plan.wanted(step.role))
                if not self._has(step, wanted) and self._affords(step):
                    self._measure(step)
            if number == 1:
                self._measure_together()

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

    def _affords(self, step: Step) -> bool:
        """Return whether a trial ends within the budget, and report one that does not."""
        budget_s = self._plan.budget_s
        if budget_s is None:
            return True
        left_s = budget_s - (self._runner.now_s() - self._begin_s)
        refusal = beyond_budget(self._plan, step, self.records(), self._runner.cpus, left_s)
        if refusal is not None:
            self._progress.say(refusal)
        return refusal is None

    def _measure(self, step: Step) -> None:
        files = self._files() if step.configuration == self._plan.on_cpus(1) else None
        with self._session() as session:
            if session.open(step.workload, step.configuration, step.role, files):
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
        if not self._affords(replace(alone, role=Role.TOGETHER)):
            return
        self._progress.trial_started(Role.TOGETHER, f"{instances} instances of one CPU each")
        block = secrets.token_hex(4)
        labels = TrialLabels(self._plan.study, Role.TOGETHER, block, instances=instances)
        self._keep(
            self._runner.together(
                self._plan.middle,
                self._plan.configuration,
                labels,
                self._plan.rounds,
                self._files() or TrialFiles(),
            )
        )

    def _files(self) -> TrialFiles | None:
        """Return the compilation cache of the trials on one CPU, None where each compiles."""
        if not self._plan.reuse_compilation:
            return None
        return TrialFiles(compile_cache=self._plan.store.folder / "compile-cache")

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


def median_pass_s(records: Iterable[Record]) -> dict[int, list[float]]:
    """Return CPU count to the median seconds of a timed pass of each record."""
    times: dict[int, list[float]] = defaultdict(list)
    for record in records:
        if record.steady:
            times[record.allowed_cpus].append(
                statistics.median(stage.wall_s for stage in record.steady)
            )
    return dict(times)

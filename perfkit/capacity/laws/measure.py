"""The trials that a fit rests on, run one after the other and resumable."""

from __future__ import annotations

import secrets
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from perfkit.capacity.laws.runner import FitRunner
from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.cpus import ALL_CPUS, CPUS_KNOB
from perfkit.models.base import Model, Workload
from perfkit.records.machine import setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.stats.exact import median_uncertainty
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tune.progress import Progress
from perfkit.tune.session import Session

HELD_OUT_ROLE = "held_out"
"""Measured like the points of a fit, but only used to judge it."""

CPUS_ROLE = "cpus"
"""The same workload on other CPU counts."""

TOGETHER_ROLE = "together"
"""Trials of one block that ran at the same time, each on CPUs of its own."""

COMPILED_ROLE = "compiled"
"""Compiled at a size that need not fit, and not run."""

CACHED_ROLE = "cached"
"""The program came from the compilation cache."""

COUNTED_ROLES = (Role.PARTS, HELD_OUT_ROLE, CPUS_ROLE, COMPILED_ROLE)
"""Roles of which a workload and configuration has a number of trials."""

DEFAULT_SIZES = {"af3": "16,24,32,48,64,96", "gencast": "5,4,3,2.5,2,1.8"}
"""Residues, and degrees: cheap, and enough of them for the terms of every law. GenCast takes a mesh
of one split above 5 degrees, whose program holds 0.1 GB less beside its buffers than all others."""

SETTLED = 0.05
"""Half the width of the median's interval, relative to it, at which no more passes are made."""

MOST_ROUNDS = 4
"""Times the rounds that are asked for, of a trial that does not settle."""

DEFAULT_COMPILED = {"af3": "256,512,1024", "gencast": "1.5,1"}
"""Sizes that are only compiled, for their memory."""


@dataclass(frozen=True)
class Step:
    """One trial of a fit: what is run, how, and for what."""

    workload: Workload
    configuration: Configuration
    role: str
    traced: bool = True


@dataclass(frozen=True)
class FitPlan:
    """What a fit measures.

    Parameters
    ----------
    workloads
        Points of the fit, smallest first.
    held_out
        Points to judge it by.
    compiled
        Workloads that are only compiled.
    configuration
        The preset to fit.
    cpu_counts
        CPUs of an instance beside all of them.
    rounds
        Timed passes of each trial.
    cached
        Whether the time of a program from the compilation cache is measured too.
    repeats
        Trials of each point: two processes of one program may differ for good, by where their
        memory happens to lie, which more passes do not even out.
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
        """Digest of machine, packages and configuration: further sizes join the same study."""
        same = ["fit", self.model.name, setting_digest(), self.configuration.digest]
        return short_digest(same)

    @property
    def middle(self) -> Workload:
        """Of middling size: where CPUs and instances are varied."""
        own = self.workloads[0].fidelity
        alike = [each for each in self.workloads if each.fidelity == own]
        return alike[len(alike) // 2]

    def on_cpus(self, cpus: int) -> Configuration:
        """The preset on so many CPUs."""
        return Catalogue(self.model.knobs).changed(self.configuration, CPUS_KNOB.name, str(cpus))

    @property
    def trials(self) -> int:
        """Trials that the whole plan takes."""
        together = 2 if self.cpu_counts else 0
        alone = sum(self.wanted(step.role) for step in self.steps())
        return alone + len(self.compiled) + together + (2 if self.cached else 0)

    def wanted(self, role: str) -> int:
        """Trials of a workload in one of :data:`COUNTED_ROLES`."""
        return self.repeats if role in (Role.PARTS, HELD_OUT_ROLE) else 1

    def steps(self) -> list[Step]:
        """The trials that run alone, in the order in which they are measured."""
        points = [Step(each, self.configuration, Role.PARTS) for each in self.workloads]
        judged = [Step(each, self.configuration, HELD_OUT_ROLE) for each in self.held_out]
        counts = [
            Step(self.middle, self.on_cpus(cpus), CPUS_ROLE, traced=False)
            for cpus in self.cpu_counts
        ]
        return [*points, *judged, *counts]


class FitMeasurement:
    """Runs a plan; what the store holds already is not measured again.

    Parameters
    ----------
    runner, progress
        What makes trials, and who is told.
    """

    def __init__(self, plan: FitPlan, runner: FitRunner, progress: Progress) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress

    def run(self) -> None:
        """Measure what is missing."""
        # One trial of each before the second of any: a machine may be slow for minutes.
        for number in range(1, self._plan.repeats + 1):
            for step in self._plan.steps():
                if not self._has(step, min(number, self._plan.wanted(step.role))):
                    self._measure(step)
        for workload in self._plan.compiled:
            step = Step(workload, self._plan.configuration, COMPILED_ROLE, traced=False)
            if not self._has(step):
                self._compile(step)
        self._measure_together()
        if self._plan.cached:
            self._measure_cached()

    def records(self) -> list[Record]:
        """Records of the study so far, without trials that others with more passes replace."""
        own = [r for r in self._plan.store.records() if r.study == self._plan.study]
        alike: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        for record in own:
            if (place := _place(record)) is not None:
                alike[place].append(record)
        kept = set()
        for place, trials in alike.items():
            role, *_ = place
            # The sort is stable: of those with equally many passes the newest stay.
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
        """Passes until their median has settled, or until the trial makes no more."""
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
        """As many instances as there are CPUs, each on one of its own."""
        instances = self._runner.cpus
        alone = Step(self._plan.middle, self._plan.on_cpus(1), CPUS_ROLE, traced=False)
        if instances < 2 or not self._has(alone) or self._found(TOGETHER_ROLE):
            return
        self._progress.trial_started(TOGETHER_ROLE, f"{instances} instances of one CPU each")
        labels = TrialLabels(self._plan.study, TOGETHER_ROLE, secrets.token_hex(4))
        self._keep(
            self._runner.together(
                self._plan.middle, self._plan.configuration, labels, self._plan.rounds
            )
        )

    def _measure_cached(self) -> None:
        """The smallest workload twice with a compilation cache: the second time it hits."""
        step = Step(self._plan.workloads[0], self._plan.configuration, CACHED_ROLE)
        cache = TrialFiles(compile_cache=self._plan.store.folder / "compile-cache")
        while len(self._found(CACHED_ROLE)) < 2:
            with self._session() as session:
                if not session.open(step.workload, step.configuration, step.role, cache):
                    return

    def _found(self, role: str) -> list[Record]:
        return [
            r for r in self.records() if r.role == role and r.outcome is not Outcome.INTERRUPTED
        ]

    def _has(self, step: Step, wanted: int = 1) -> bool:
        """Whether a trial failed for good or so many have all passes: Ctrl-C cuts them short."""
        own = [
            record
            for record in self._found(step.role)
            if record.workload.digest == step.workload.digest
            and record.configuration.digest == step.configuration.digest
        ]
        failed = any(record.outcome is not Outcome.OK for record in own)
        return failed or sum(self._complete(record, step) for record in own) >= wanted

    def _complete(self, record: Record, step: Step) -> bool:
        if step.role == COMPILED_ROLE:
            return record.compilation is not None
        traced = not step.traced or bool(record.part_times_s)
        return traced and self._enough([stage.wall_s for stage in record.steady])

    def _enough(self, passes_s: Sequence[float]) -> bool:
        """Whether there are as many passes as were asked for and their median has settled."""
        if len(passes_s) < self._plan.rounds:
            return False
        return (
            median_uncertainty(passes_s) <= SETTLED
            or len(passes_s) >= MOST_ROUNDS * self._plan.rounds
        )

    def _session(self) -> Session:
        return Session(self._runner, self._progress, self._plan.study, self._plan.store.append)


def _place(record: Record) -> tuple[str, ...] | None:
    """What a number of trials is enough for, None where each tells something of its own."""
    if record.role not in COUNTED_ROLES or record.outcome is not Outcome.OK:
        return None
    return record.role, record.workload.digest, record.configuration.digest


def other_samples(workloads: Sequence[Workload]) -> list[Workload]:
    """The smallest, middle and largest workload with a single diffusion sample, where there are
    samples at all: what a step costs once is told from what it costs a sample."""
    if "samples" not in workloads[0].fidelity:
        return []
    chosen = dict.fromkeys((0, len(workloads) // 2, len(workloads) - 1))
    return [replace_fidelity(workloads[index], samples=1) for index in chosen]


def replace_fidelity(workload: Workload, **values: int) -> Workload:
    """The workload at another fidelity."""
    return replace(workload, fidelity={**workload.fidelity, **values})


def median_pass_s(records: Iterable[Record]) -> dict[int, list[float]]:
    """CPUs to the median steady seconds of each record."""
    times: dict[int, list[float]] = defaultdict(list)
    for record in records:
        if record.steady:
            times[record.allowed_cpus].append(
                statistics.median(stage.wall_s for stage in record.steady)
            )
    return dict(times)


def parse_cpu_counts(text: str, available: int) -> tuple[int, ...]:
    """The CPU counts of e.g. ``1,2,all`` that differ from all CPUs.

    Raises
    ------
    UserError
        A count is impossible here.
    """
    counts = []
    for word in text.split(","):
        value = CPUS_KNOB.canonical(word)
        if value != ALL_CPUS and int(value) < available:
            counts.append(int(value))
    return tuple(dict.fromkeys(counts))

"""Trials that replay a recorded sweep on a virtual clock.

The passes of a configuration take its level, which is the seconds of stock times the recorded
ratio to stock, times noise that is drawn from its own recorded passes. Starts, compilations, first
passes and checks take the recorded seconds. A study may combine the recorded values in any way:
only sweeps without a gap are searched, and no time is predicted by a model.
"""

from __future__ import annotations

import random
import statistics
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.recorded import RecordedConfiguration, RecordedSweep, Settings
from benchmarks.sweep_design import process_key
from benchmarks.virtual_trials import VirtualTrial, virtual_compilation
from perfkit.errors import UserError
from perfkit.knobs.allocators import ALLOCATORS
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.knob import Host
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.findings import AgreementRecord
from perfkit.records.roles import Role
from perfkit.records.schema import Compilation, Outcome
from perfkit.records.settings import settings_digest
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.search.settings import program_settings
from perfkit.tuning.search.strategy import Change, SearchSpace
from perfkit.tuning.space import search_space

CACHED_SHARE = 0.08
"""Seconds of a compilation that the cache answers, relative to the compilation itself: AlphaFold 3
with 76 tokens took 0.65 s in place of 8 s."""

RAN = (Outcome.OK, Outcome.DISAGREES, Outcome.NONFINITE)
"""Outcomes of trials that run as long as they are passed."""


@dataclass(frozen=True)
class ReplayedPass:
    """A pass that a study has seen.

    Attributes
    ----------
    at_s
        When it ended, on the virtual clock.
    configuration
        What was passed.
    depth
        Depth of the network.
    wall_s
        Its seconds.
    """

    at_s: float
    configuration: Configuration
    depth: str
    wall_s: float


@dataclass(frozen=True)
class _Levels:
    """Seconds of stock and ratios to stock at one depth."""

    stock_s: float
    ratios: Mapping[Settings, float]

    @classmethod
    def of(cls, sweep: RecordedSweep) -> _Levels:
        """The levels of a sweep; configurations without a pass have none."""
        ratios = {one.key: one.ratio for one in sweep.configurations if one.passes_s}
        return cls(sweep.stock_s, ratios)


class ReplayRunner:
    """Makes trials that replay a sweep, on a clock that only they advance.

    Trials whose labels say that they share a process cost the start of a process once for each set
    of settings that need a process of their own, and preparing and lowering once for each process
    and set of the model's knobs. Shared processes live until :meth:`end_shared`.

    Parameters
    ----------
    sweep
        The recorded sweep.
    model
        Model of the sweep.
    seed
        Seed of the noise; without one, each pass takes its level.
    other
        A sweep of the same workload at another depth, for trials of that depth. Configurations that
        it lacks take the level of its stock times the ratio in ``sweep``. Without it, trials of any
        depth take the level in ``sweep``.
    number
        Number of records that exist already.

    Attributes
    ----------
    clock_s
        Seconds on the virtual clock.
    passes
        The passes so far, first passes left out.
    """

    def __init__(
        self,
        sweep: RecordedSweep,
        model: Model,
        seed: int | None = None,
        other: RecordedSweep | None = None,
        number: int = 0,
    ) -> None:
        self.sweep = sweep
        self.model = model
        self.clock_s = 0.0
        self._lock = threading.Lock()
        self.number = number
        self.passes: list[ReplayedPass] = []
        self._entries = sweep.by_settings
        self._stock_s = sweep.stock_s
        self._others = {} if other is None else {other.workload.depth: _Levels.of(other)}
        self._generator = None if seed is None else random.Random(seed)
        self._compiled: set[tuple[str, str, str]] = set()
        self._shared: set[tuple[str, ...]] = set()

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> ReplayedTrial:
        """A trial that has not been started.

        Raises
        ------
        UserError
            The sweep lacks the configuration.
        """
        return ReplayedTrial(self, workload, configuration, labels, files)

    def end_shared(self) -> None:
        """End the processes that trials share."""
        self._shared.clear()

    def available_bytes(self) -> None:
        """None: memory is not measured."""

    def now_s(self) -> float:
        """The virtual clock."""
        return self.clock_s

    def spend(self, step: str, seconds: float = 0.0) -> None:
        """Advance the clock. Trials side by side call this from several threads."""
        with self._lock:
            self.clock_s += seconds

    def next_number(self) -> int:
        """Number of the next record."""
        with self._lock:
            self.number += 1
            return self.number

    # -- what the sweep says ------------------------------------------------------------------

    def entry(self, configuration: Configuration, role: Role) -> RecordedConfiguration:
        """The recorded behaviour of a configuration; a reference that is missing is like stock.

        Raises
        ------
        UserError
            The sweep lacks the configuration.
        """
        found = self._entries.get(configuration.settings)
        if found is None and role is Role.REFERENCE:
            return self.sweep.stock
        if found is None:
            raise UserError(f"{configuration.label} is not in the sweep of {self.sweep.title}")
        return found

    def level_s(self, entry: RecordedConfiguration, workload: Workload) -> float:
        """Seconds of a pass without noise, in proportion to the runs of the most frequent part."""
        work = self.part_runs(workload) / self.sweep.parts[self.main_part]
        other = self._others.get(workload.depth)
        if other is None:
            return work * self._stock_s * entry.ratio
        return work * other.stock_s * other.ratios.get(entry.key, entry.ratio)

    def noise(self, entry: RecordedConfiguration) -> float:
        """A factor of the level, drawn from the recorded passes; 1 without a seed."""
        if self._generator is None:
            return 1.0
        return self._generator.choice(self._residuals[entry.digest])

    @cached_property
    def main_part(self) -> str:
        """The part of the model that runs most often in a pass."""
        return max(self.sweep.parts, key=lambda name: self.sweep.parts[name])

    def part_runs(self, workload: Workload) -> int:
        """How often the main part runs in a pass of a workload."""
        return self.model.part_counts(workload.fidelity, workload)[self.main_part]

    def start_s(self, configuration: Configuration, labels: TrialLabels) -> float:
        """Seconds of the start of a trial, without its compilation."""
        starts = self.sweep.starts
        if not labels.shared_process:
            return starts.sum_s
        process = process_key(configuration)
        lowered = (*process, "lowered", str(sorted(configuration.overrides().items())))
        seconds = 0.0 if process in self._shared else starts.process_s
        seconds += 0.0 if lowered in self._shared else starts.prepare_s + starts.lower_s
        self._shared |= {process, lowered}
        return seconds

    def compiles(self, workload: Workload, configuration: Configuration, files: TrialFiles) -> bool:
        """Whether a trial compiles its program; if not, its cache folder holds the program."""
        if files.compile_cache is None:
            return True
        program = settings_digest(program_settings(configuration.settings))
        key = str(files.compile_cache), workload.digest, program
        fresh = key not in self._compiled
        self._compiled.add(key)
        return fresh

    @cached_property
    def _residuals(self) -> Mapping[str, list[float]]:
        """Recorded passes relative to their median, by digest.

        Those of the base are relative to the median of the rounds of one candidate, because the
        machine may drift from candidate to candidate.
        """
        entries = self.sweep.configurations
        found = {one.digest: _relative(one.passes_s) for one in entries}
        base = settings_digest(sorted(self.sweep.base.items()))
        others = [one for one in entries if one.digest != base]
        of_base = [each for one in others for each in _relative(one.base_s)]
        return found | ({base: of_base} if of_base else {})


class ReplayedTrial(VirtualTrial):
    """A trial that behaves as its configuration was recorded."""

    def __init__(
        self,
        runner: ReplayRunner,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> None:
        super().__init__(runner, workload, configuration, labels, files)
        self._runner = runner
        self._entry = runner.entry(configuration, labels.role)
        self._cache = "off"

    def start_s(self) -> float:
        """The recorded seconds of the start and of the compilation, or of reading the cache."""
        compiles = self._runner.compiles(self.workload, self.configuration, self.files)
        if self.files.compile_cache is not None:
            self._cache = "miss" if compiles else "hit"
        compile_s = (self._entry.compile_s or 0.0) * (1.0 if compiles else CACHED_SHARE)
        return self._runner.start_s(self.configuration, self.labels) + compile_s

    def first_pass_s(self) -> float:
        """The recorded ratio of the first pass to the others, at the level of the workload."""
        if not self._entry.passes_s or self._entry.first_s is None:
            return self._entry.first_s or 0.0
        ratio = self._entry.first_s / statistics.median(self._entry.passes_s)
        return ratio * self._runner.level_s(self._entry, self.workload)

    def pass_s(self) -> float:
        """The level with noise of a recorded pass."""
        return self._runner.level_s(self._entry, self.workload) * self._runner.noise(self._entry)

    def check_s(self) -> float:
        """The recorded seconds."""
        return self._runner.sweep.starts.check_s

    @property
    def alive(self) -> bool:
        """Whether the recorded trial ran to its end, or had more passes than this one."""
        return self._entry.outcome in RAN or self.passes < len(self._entry.passes_s)

    def keeps_pass(self, wall_s: float) -> bool:
        """Note the pass, unless the trial died of it."""
        if self.alive:
            at_s, depth = self._runner.now_s(), self.workload.depth
            self._runner.passes.append(ReplayedPass(at_s, self.configuration, depth, wall_s))
        return self.alive

    def outcome(self) -> Outcome:
        """The recorded outcome."""
        return self._entry.outcome

    def agreement(self, outcome: Outcome) -> AgreementRecord | None:
        """The recorded verdict, where there is a reference to compare with."""
        reference = self.files.reference
        if reference is None or not reference.exists() or outcome not in RAN:
            return None
        return self._entry.agreement

    def compilation(self) -> Compilation:
        """The recorded program, of the most frequent part alone: the others were not timed."""
        parts = {self._runner.main_part: self._runner.part_runs(self.workload)}
        program = self._entry.program
        sizes = {} if program is None else program.model_dump()
        return virtual_compilation(parts, self._cache).model_copy(update=sizes)

    def peak_rss_bytes(self) -> int:
        """The recorded peak."""
        return self._entry.peak_rss_bytes


def recorded_space(sweep: RecordedSweep, model: Model) -> SearchSpace:
    """The search space of the recorded machine, restricted to the recorded values.

    A change of several knobs keeps the settings that were recorded. Recorded values that the space
    does not try come last.

    Raises
    ------
    UserError
        A combination of the recorded values was not measured.
    """
    sweep.ensure_factorial()
    recorded = {
        (name, value)
        for name, values in sweep.factors.items()
        for value in values
        if value is not None
    }
    host = Host(
        frozenset(sweep.machine.instruction_sets),
        sweep.allowed_cpus,
        frozenset(value for name, value in recorded if value in ALLOCATORS),
    )
    catalogue = Catalogue(model.knobs)
    space = search_space(model, sweep.as_workload(), catalogue, host=host)
    kept = [tuple(setting for setting in change if setting in recorded) for change in space.changes]
    changes: list[Change] = [change for change in kept if change]
    changes += [(setting,) for setting in sorted(recorded)]
    return SearchSpace(catalogue, tuple(dict.fromkeys(changes)))


def exhaustive_s(sweep: RecordedSweep, catalogue: Catalogue, rounds: int) -> float:
    """Seconds to measure each recorded configuration once.

    Configurations share processes and compiled programs wherever they can, and stock is passed no
    more often than the others. A search that needs a tenth of this time is thus compared with the
    cheapest way of measuring everything.

    Parameters
    ----------
    sweep
        The recorded sweep.
    catalogue
        The knobs of its model.
    rounds
        Number of timed passes of each configuration.
    """
    configurations = [catalogue.configuration(one.settings) for one in sweep.configurations]
    processes = {process_key(one) for one in configurations}
    lowered = {(process_key(one), tuple(sorted(one.overrides().items()))) for one in configurations}
    starts = sweep.starts
    started_s = len(processes) * starts.process_s
    lowered_s = len(lowered) * (starts.prepare_s + starts.lower_s)
    alone_s = sum(_alone_s(sweep, one, rounds) for one in sweep.configurations)
    return started_s + lowered_s + _compiled_s(sweep) + alone_s


def _compiled_s(sweep: RecordedSweep) -> float:
    """Seconds to compile each program once, and to read it from the cache for each allocator."""
    seconds: dict[Settings, list[float]] = defaultdict(list)
    for one in sweep.configurations:
        seconds[program_settings(one.key)].append(one.compile_s or 0.0)
    return sum(max(own) + CACHED_SHARE * (sum(own) - max(own)) for own in seconds.values())


def _alone_s(sweep: RecordedSweep, entry: RecordedConfiguration, rounds: int) -> float:
    """Seconds of all passes and of the check of a configuration."""
    begun_s = entry.first_s or 0.0
    if not entry.passes_s:
        return begun_s
    return begun_s + rounds * sweep.level_s(entry) + sweep.starts.check_s


def _relative(seconds: Sequence[float]) -> list[float]:
    """Seconds relative to their median."""
    if not seconds:
        return []
    median = statistics.median(seconds)
    return [one / median for one in seconds]

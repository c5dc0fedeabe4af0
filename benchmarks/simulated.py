"""Studies on a simulated machine: real strategy and statistics, passes drawn from a noise model.

A pass takes the configuration's true seconds times noise: lognormal for each pass, an outlier now
and then, an offset of each process that stays for its life, and drift of the whole machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.knob import Knob, Layer, one_of
from perfkit.models.base import Workload
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    Outcome,
    Record,
    Stage,
    WorkloadRecord,
)
from perfkit.records.store import Store
from perfkit.trial.answers import save_answers
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tune.progress import SilentProgress
from perfkit.tune.search.coordinate_ascent import CoordinateAscent
from perfkit.tune.search.strategy import SearchSpace
from perfkit.tune.study import Study
from perfkit.tune.study_plan import StudyPlan

START = datetime(2026, 1, 1, tzinfo=UTC)

WORKLOAD = Workload(
    model="simulated",
    name="simulated",
    size=1,
    source={},
    fidelity={"steps": 1},
    input_digest="simulated",
)


@dataclass(frozen=True)
class Noise:
    """How passes of one program differ.

    Attributes
    ----------
    name
        For a table.
    pass_sigma
        Standard deviation of the logarithm of a pass.
    outlier_share, outlier_factor
        Share of passes that take so many times as long.
    process_sigma
        Standard deviation of the logarithm of a process's offset.
    drift_per_hour
        Logarithm by which the machine becomes slower in an hour; it swings back after that.
    """

    name: str
    pass_sigma: float = 0.0
    outlier_share: float = 0.0
    outlier_factor: float = 1.5
    process_sigma: float = 0.0
    drift_per_hour: float = 0.0


@dataclass(frozen=True)
class Machine:
    """What steps cost on the simulated machine.

    Attributes
    ----------
    pass_s
        True seconds of a pass of stock.
    start_s, restart_s
        From a trial's start to its first pass, compiling and with a cached program.
    """

    name: str
    pass_s: float
    start_s: float
    restart_s: float


class MemoryStore(Store):
    """A store whose records are never written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._records: list[Record] = []

    def append(self, record: Record) -> None:
        """Keep a record in memory."""
        self._records.append(record)

    def records(self) -> list[Record]:
        """All records so far."""
        return list(self._records)


class SimulatedModel:
    """As much of a model as a study asks for, with knobs that are on or off.

    Parameters
    ----------
    factors
        Knob to the factor of a pass's seconds when it is on.
    """

    name = "simulated"
    reference_values: Mapping[str, str] = {}

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.factors = dict(factors)
        self.knobs = tuple(
            Knob(name, "off", ("on",), Layer.MODEL, True, name, one_of("on", "off"))
            for name in factors
        )

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int:
        """Nothing: memory is not simulated."""
        return 0

    def factor(self, configuration: Configuration) -> float:
        """True seconds of a pass over those of stock."""
        return math.prod(self.factors[name] for name in configuration.as_dict())


@dataclass
class SimulatedRunner:
    """Makes trials whose passes advance a clock by what the noise model says."""

    model: SimulatedModel
    machine: Machine
    noise: Noise
    generator: np.random.Generator
    clock_s: float = 0.0
    number: int = 0
    compiled: set[str] = field(default_factory=set)

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> SimulatedTrial:
        """A trial that has not been started."""
        return SimulatedTrial(self, configuration, labels, files)

    def now_s(self) -> float:
        """The simulated clock."""
        return self.clock_s

    def pass_s(self, configuration: Configuration, offset: float) -> float:
        """Seconds of a pass that begins now."""
        noise, draw = self.noise, self.generator
        hours = self.clock_s / 3600 % 2
        logarithm = offset + noise.drift_per_hour * min(hours, 2 - hours)
        logarithm += noise.pass_sigma * draw.standard_normal()
        seconds = self.machine.pass_s * self.model.factor(configuration) * math.exp(logarithm)
        slow = draw.random() < noise.outlier_share
        return seconds * (noise.outlier_factor if slow else 1.0)


@dataclass
class SimulatedTrial:
    """One simulated process."""

    runner: SimulatedRunner
    configuration: Configuration
    labels: TrialLabels
    files: TrialFiles
    stages: list[Stage] = field(default_factory=list)
    cache: str = "miss"

    def __post_init__(self) -> None:
        """Draw the offset that the process keeps."""
        sigma = self.runner.noise.process_sigma
        self.offset = sigma * float(self.runner.generator.standard_normal())

    @property
    def alive(self) -> bool:
        """Always: nothing dies here."""
        return True

    def start(self) -> None:
        """Remember when: trials that start side by side share the CPUs, and wait for each other."""
        self.begun_s = self.runner.clock_s

    def wait_ready(self) -> bool:
        """Pay for the start and the first pass."""
        runner, digest = self.runner, self.configuration.digest
        known = digest in runner.compiled
        self.cache = "hit" if known else "miss"
        start_s = runner.machine.restart_s if known else runner.machine.start_s
        first_s = runner.pass_s(self.configuration, self.offset)
        runner.clock_s += start_s + first_s
        runner.compiled.add(digest)
        self.stages.append(_stage("first", runner.clock_s - self.begun_s - first_s, first_s, None))
        return True

    def steady_pass(self, round_number: int) -> Stage | None:
        """One pass."""
        wall_s = self.runner.pass_s(self.configuration, self.offset)
        begin_s = self.runner.clock_s - self.begun_s
        self.stages.append(_stage("steady", begin_s, wall_s, round_number))
        self.runner.clock_s += wall_s
        return self.stages[-1]

    def trace_parts(self) -> bool:
        """Not simulated."""
        return False

    def check(self) -> bool:
        """Every answer is right."""
        return True

    def finish(self) -> Record:
        """The record; the reference leaves its file."""
        if self.files.save_compared is not None:
            save_answers(self.files.save_compared, {})
        return self._record(Outcome.OK)

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """The record of a trial that was ended at once."""
        return self._record(outcome)

    def _record(self, outcome: Outcome) -> Record:
        self.runner.number += 1
        configuration = self.configuration
        agreement: dict[str, Any] = {"class": "bitwise", "quantities": []}
        return Record(
            id=f"{self.runner.number:06}",
            created=(START + timedelta(seconds=self.runner.number)).isoformat(),
            study=self.labels.study,
            role=self.labels.role,
            block=self.labels.block,
            workload=WorkloadRecord(**WORKLOAD.as_dict()),
            configuration=ConfigurationRecord(
                settings=configuration.as_dict(),
                digest=configuration.digest,
                label=configuration.label,
            ),
            machine={},
            versions={},
            allowed_cpus=2,
            stages=self.stages,
            compilation=_compilation(self.cache),
            agreement=agreement,
            outcome=outcome,
        )


def run_study(
    folder: Path,
    factors: Mapping[str, float],
    machine: Machine,
    noise: Noise,
    budget_s: float,
    seed: int,
) -> Study:
    """A study on the simulated machine, run to its end.

    Parameters
    ----------
    folder
        For the file of the reference.
    factors
        Knob to the factor of a pass's seconds.
    """
    model: Any = SimulatedModel(factors)
    runner = SimulatedRunner(model, machine, noise, np.random.default_rng(seed))
    catalogue = Catalogue(model.knobs)
    plan = StudyPlan(model, catalogue, WORKLOAD, MemoryStore(folder), budget_s, 1.0, False)
    space = SearchSpace(catalogue, tuple(((name, "on"),) for name in factors))
    study = Study(plan, CoordinateAscent(), runner, SilentProgress(), space)
    study.run()
    return study


def _stage(name: str, begin_s: float, wall_s: float, round_number: int | None) -> Stage:
    return Stage(
        name=name,
        begin_s=begin_s,
        wall_s=wall_s,
        user_s=wall_s,
        system_s=0.0,
        minor_faults=0,
        major_faults=0,
        voluntary_switches=0,
        involuntary_switches=0,
        peak_rss_bytes=0,
        round=round_number,
    )


def _compilation(cache: str) -> Compilation:
    nothing = dict.fromkeys(("temporary_bytes", "argument_bytes", "output_bytes", "code_bytes"), 0)
    return Compilation(cache=cache, flops=0.0, bytes_accessed=0.0, parts={}, **nothing)


def names(count: int) -> Sequence[str]:
    """Names of so many knobs, in their order of trial."""
    return [f"knob{number:02}" for number in range(count)]

"""Studies on a simulated machine: real strategy and statistics, passes drawn from a noise model.

A pass takes the true seconds of its configuration times noise. The noise is lognormal for each
pass, with occasional outliers, a constant offset of each process, and drift of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.virtual_trials import VirtualTrial, virtual_compilation
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.knob import Knob, Layer
from perfkit.knobs.parsers import one_of
from perfkit.models.workload import Workload
from perfkit.packages import OWN
from perfkit.records.schema import Compilation, Record
from perfkit.records.store import Store
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.search.registry import make_strategy
from perfkit.tuning.search.strategy import SearchSpace, Strategy
from perfkit.tuning.studies.progress import SilentProgress
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan

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
    """Differences between the passes of one program.

    Attributes
    ----------
    name
        Name of the noise model in tables.
    pass_sigma
        Standard deviation of the logarithm of a pass.
    outlier_share, outlier_factor
        Share of passes that are outliers, and the factor by which an outlier takes longer.
    process_sigma
        Standard deviation of the logarithm of the offset of a process.
    program_sigma
        Standard deviation of the logarithm of the offset of a program, which depends on where its
        code and data lie in memory: programs in one process differ by it.
    drift_per_hour
        Logarithm of the factor by which the machine slows down within an hour; within the next hour
        it recovers.
    """

    name: str
    pass_sigma: float = 0.0
    outlier_share: float = 0.0
    outlier_factor: float = 1.5
    process_sigma: float = 0.0
    program_sigma: float = 0.0
    drift_per_hour: float = 0.0


@dataclass(frozen=True)
class Machine:
    """Durations on the simulated machine.

    Attributes
    ----------
    name
        Name of the machine.
    pass_s
        True seconds of a pass of stock.
    start_s, restart_s
        Seconds from the start of a trial to its first pass, without and with a cached program.
    program_s
        Seconds to compile one more program in a process that runs already.
    shallow
        Duration of a pass of the shallow network, as a share of one at full depth.
    """

    name: str
    pass_s: float
    start_s: float
    restart_s: float
    program_s: float = 0.0
    shallow: float = 1.0


class MemoryStore(Store):
    """A store that keeps its records in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._records: list[Record] = []

    def append(self, record: Record) -> None:
        """Add a record."""
        self._records.append(record)

    def records(self) -> list[Record]:
        """All records so far."""
        return list(self._records)


class SimulatedModel:
    """The parts of a model that a study uses, with knobs that are on or off.

    Parameters
    ----------
    factors
        By knob, the factor of the seconds of a pass when the knob is on.
    """

    name = "simulated"
    reference_values: Mapping[str, str] = {}
    foreign_adapter: str | None = None
    memory_known_for: tuple[str, ...] = ()

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.factors = dict(factors)
        self.knobs = tuple(
            Knob(name, "off", Layer.MODEL, True, name, one_of("on", "off")) for name in factors
        )

    def package(self, workload: Workload | None = None) -> str:
        """This package: no other code predicts."""
        return OWN

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int:
        """Zero: memory is not simulated."""
        return 0

    def shallow(self, workload: Workload) -> Workload | None:
        """None: there is one depth."""
        return None

    def factor(self, configuration: Configuration) -> float:
        """True seconds of a pass, relative to stock."""
        return math.prod(self.factors[name] for name in configuration.as_dict())


@dataclass
class SimulatedRunner:
    """Makes trials whose durations are drawn from the noise model.

    Attributes
    ----------
    model, machine, noise
        The simulated model, machine and noise.
    generator
        Random numbers of the noise.
    clock_s
        Seconds since the start.
    number
        Number of records so far.
    compiled
        Digests of the configurations whose program is in the compilation cache.
    """

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
        return SimulatedTrial(self, workload, configuration, labels, files)

    def end_shared(self) -> None:
        """Nothing: virtual trials share no process."""

    def available_bytes(self) -> None:
        """None: memory is not measured."""

    def now_s(self) -> float:
        """The simulated clock."""
        return self.clock_s

    def spend(self, step: str, seconds: float = 0.0) -> None:
        """Advance the clock."""
        self.clock_s += seconds

    def next_number(self) -> int:
        """Number of the next record."""
        self.number += 1
        return self.number

    def pass_s(self, configuration: Configuration, offset: float) -> float:
        """Seconds of a pass that begins now, in a process with this logarithmic offset."""
        noise, draw = self.noise, self.generator
        hours = self.clock_s / 3600 % 2
        logarithm = offset + noise.drift_per_hour * min(hours, 2 - hours)
        logarithm += noise.pass_sigma * draw.standard_normal()
        seconds = self.machine.pass_s * self.model.factor(configuration) * math.exp(logarithm)
        slow = draw.random() < noise.outlier_share
        return seconds * (noise.outlier_factor if slow else 1.0)


class SimulatedTrial(VirtualTrial):
    """A simulated process, with a constant offset."""

    def __init__(
        self,
        runner: SimulatedRunner,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> None:
        super().__init__(runner, workload, configuration, labels, files)
        self._runner = runner
        self._offset = runner.noise.process_sigma * float(runner.generator.standard_normal())
        if runner.noise.program_sigma:
            self._offset += runner.noise.program_sigma * float(runner.generator.standard_normal())
        self._cache = "miss"

    def start_s(self) -> float:
        """Seconds to the first pass; fewer if the program was compiled before."""
        compiled, digest = self._runner.compiled, self.configuration.digest
        self._cache = "hit" if digest in compiled else "miss"
        compiled.add(digest)
        machine = self._runner.machine
        return machine.restart_s if self._cache == "hit" else machine.start_s

    def pass_s(self) -> float:
        """Seconds of a pass, drawn from the noise model."""
        return self._runner.pass_s(self.configuration, self._offset)

    def compilation(self) -> Compilation:
        """The program: compiled, or from the cache."""
        return virtual_compilation({}, self._cache)


def run_study(
    folder: Path,
    factors: Mapping[str, float],
    machine: Machine,
    noise: Noise,
    budget_s: float,
    seed: int,
    strategy: Strategy | None = None,
) -> Study:
    """A finished study on the simulated machine, each trial in a process of its own.

    Parameters
    ----------
    folder
        Folder of the reference's answers.
    factors
        By knob, the factor of the seconds of a pass when the knob is on.
    machine, noise
        The simulated machine and its noise.
    budget_s
        Budget in simulated seconds.
    seed
        Seed of the random numbers.
    strategy
        Decides what is measured; by default, coordinate ascent.
    """
    model: Any = SimulatedModel(factors)
    runner = SimulatedRunner(model, machine, noise, np.random.default_rng(seed))
    catalogue = Catalogue(model.knobs)
    store = MemoryStore(folder)
    plan = StudyPlan(
        model, catalogue, WORKLOAD, store, budget_s, 1.0, extrapolate=False, shared_processes=False
    )
    space = space_of(catalogue, factors)
    study = Study(plan, strategy or make_strategy(), runner, SilentProgress(), space)
    study.run()
    return study


def space_of(catalogue: Catalogue, factors: Mapping[str, float]) -> SearchSpace:
    """The space of all knobs that are on or off, in their order."""
    return SearchSpace(catalogue, tuple(((name, "on"),) for name in factors))


def names(count: int) -> Sequence[str]:
    """Names of ``count`` knobs, in the order in which they are tried."""
    return [f"knob{number:02}" for number in range(count)]

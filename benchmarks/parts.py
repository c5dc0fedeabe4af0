"""Benchmarks of a model: time per stage, memory, utilisation, and agreement with the reference."""

from __future__ import annotations

import abc
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import references, trials
from benchmarks.attributes import attributes
from benchmarks.trial_clock import TrialClock

if TYPE_CHECKING:
    from perfkit.records.findings import GuardRecord
    from perfkit.records.schema import Compilation, Record

    Measured = dict[tuple[int, str], list[Record]]

STORE = Path("store")
"""Relative to the folder in which asv runs the setup cache and its benchmarks."""

SETUP_TIMEOUT_S = 1200

DISTANCE = "relative distance"


def compilation(record: Record) -> Compilation:
    """Compilation of a trial that succeeded."""
    assert record.compilation is not None
    return record.compilation


def guard_counts(record: Record) -> GuardRecord:
    """Counts of the guard in a guarded trial."""
    assert record.guard is not None
    return record.guard


class ModelParts(abc.ABC):
    """Trials of the stock and the recommended configuration at two sizes.

    A subclass sets ``subject`` and defines ``setup_cache``: asv identifies a cache by the file and
    line of its code, so subclasses cannot share an inherited one.
    """

    subject: trials.Subject
    params: tuple[list[int], list[str]]
    version: str
    param_names = ("size", "configuration")
    timeout = 120
    # Each call that asv times plays one sample: the time of one process.
    number, warmup_time, min_run_count, rounds = 1, 0, 1, 1
    repeat = trials.PROCESSES

    @abc.abstractmethod
    def setup_cache(self) -> Measured:
        """Measure everything that the benchmarks report."""

    def setup(self, measured: Measured, size: int, configuration: str) -> None:
        for record in measured[size, configuration]:
            trials.ensure_ok(record)

    def _play(self, stage: str, measured: Measured, size: int, configuration: str) -> None:
        """Play the median wall time of ``stage``, one sample per process."""
        times_s = [
            [one.wall_s for one in record.stages if one.name == stage]
            for record in measured[size, configuration]
        ]
        samples_s = [statistics.median(own_s) for own_s in times_s]
        self.timer.play(f"{stage}-{size}-{configuration}", samples_s)

    def time_trace(self, measured: Measured, size: int, configuration: str) -> None:
        self._play("trace", measured, size, configuration)

    # Only the first process compiles; `-a rounds=N --interleave-rounds` measures N compilations.
    @attributes(repeat=1)
    def time_compile(self, measured: Measured, size: int, configuration: str) -> None:
        self._play("compile", measured, size, configuration)

    def time_steady(self, measured: Measured, size: int, configuration: str) -> None:
        self._play("steady", measured, size, configuration)

    # asv's own `peakmem_` reads the memory of the process that it starts, not that of its children.
    @attributes(type="peakmemory", unit="bytes")
    def track_peakmem(self, measured: Measured, size: int, configuration: str) -> int:
        return max(record.peak_rss_bytes for record in measured[size, configuration])

    @attributes(unit="share of the CPUs")
    def track_utilisation(self, measured: Measured, size: int, configuration: str) -> float:
        return statistics.median(
            record.utilisation(one)
            for record in measured[size, configuration]
            for one in record.steady
        )

    @attributes(unit="bytes")
    def track_xla_temporary(self, measured: Measured, size: int, configuration: str) -> int:
        return compilation(measured[size, configuration][0]).temporary_bytes

    @attributes(unit=DISTANCE)
    def track_agreement_distance(self, measured: Measured, size: int, configuration: str) -> float:
        answers = trials.compared_file(STORE, size, configuration)
        return references.distance_to_reference(answers, self.subject.model, size)

    def __init_subclass__(cls) -> None:
        sizes = list(cls.subject.inputs)[: trials.SIZES]
        cls.params = (sizes, list(trials.CONFIGURATIONS))
        cls.version = cls.subject.version

    def __init__(self) -> None:
        self.timer = TrialClock()


class ModelAnswers(abc.ABC):
    """Agreement with the stored answer, and the guard's counts, at the cheapest size."""

    subject: trials.Subject
    version: str
    timeout = 120

    @abc.abstractmethod
    def setup_cache(self) -> list[Record]:
        """Measure two guarded trials that share a compilation cache."""

    def setup(self, guarded: list[Record]) -> None:
        for record in guarded:
            trials.ensure_ok(record)

    @attributes(unit=DISTANCE)
    def track_agreement_distance(self, guarded: list[Record]) -> float:
        """In float32: bfloat16's rounding would hide small changes of the answer."""
        size = self.subject.cheapest
        answers = trials.compared_file(STORE, size, trials.FLOAT32)
        return references.distance_to_reference(answers, self.subject.model, size)

    @attributes(unit="lifted operands")
    def track_guard_lifts(self, guarded: list[Record]) -> int:
        return guard_counts(guarded[0]).lifted

    @attributes(unit="equations")
    def track_guarded_places(self, guarded: list[Record]) -> int:
        return guard_counts(guarded[0]).guarded_equations

    @attributes(unit="misses")
    def track_compile_cache_misses(self, guarded: list[Record]) -> int:
        """0 if the second of two equal trials loads the program that the first has compiled."""
        assert compilation(guarded[0]).cache == "miss"
        return int(compilation(guarded[1]).cache != "hit")

    def __init_subclass__(cls) -> None:
        cls.version = cls.subject.version


class ModelRates(abc.ABC):
    """Share of peak FLOP/s that the stock configuration reaches at the cheapest size."""

    subject: trials.Subject
    version: str
    timeout = 120

    @abc.abstractmethod
    def setup_cache(self) -> Record:
        """Measure a trial and trace a second process of it."""

    @attributes(unit="share of the ceiling")
    def track_flops_share(self, observed: Record) -> float:
        """FLOP/s of the traced pass divided by those of a large matrix product."""
        from perfkit.observers.trace.xla_trace import XlaResult

        found = trials.ensure_ok(observed).observations["xla"]
        if found.missing:
            raise RuntimeError(found.missing)
        seen = XlaResult.model_validate(found.data)
        return sum(one.compute * one.seconds for one in seen.modules) / seen.pass_s

    def __init_subclass__(cls) -> None:
        cls.version = cls.subject.version

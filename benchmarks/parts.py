"""What is tracked of a model: its parts' times, memory, utilisation, and whether it is right."""

from __future__ import annotations

import abc
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import references, trials
from benchmarks.trial_clock import TrialClock

if TYPE_CHECKING:
    from perfkit.records.schema import Record

    Measured = dict[tuple[int, str], list[Record]]

STORE = Path("store")
"""Below the folder in which asv runs the setup cache and the benchmarks that share it."""

SETUP_TIMEOUT_S = 1200

DISTANCE = "relative distance"


class ModelParts(abc.ABC):
    """Trials at two sizes, stock and recommended; a subclass names its subject and measures.

    ``setup_cache`` stands in the subclass: asv tells caches apart by where their code stands.
    """

    subject: trials.Subject
    param_names = ("size", "configuration")
    timeout = 120
    # One call of asv plays one sample: what one process took.
    number, warmup_time, min_run_count, rounds = 1, 0, 1, 1
    repeat = trials.PROCESSES

    @abc.abstractmethod
    def setup_cache(self) -> Measured:
        """Measure everything that the benchmarks report."""

    def setup(self, measured: Measured, size: int, configuration: str) -> None:
        for record in measured[size, configuration]:
            trials.ensure_ok(record)

    def _play(self, stage: str, measured: Measured, size: int, configuration: str) -> None:
        """Play the median of a stage of each process, one after the other."""
        times_s = [
            [one.wall_s for one in record.stages if one.name == stage]
            for record in measured[size, configuration]
        ]
        samples_s = [statistics.median(own_s) for own_s in times_s]
        self.timer.play(f"{stage}-{size}-{configuration}", samples_s)

    def time_trace(self, measured: Measured, size: int, configuration: str) -> None:
        self._play("trace", measured, size, configuration)

    def time_compile(self, measured: Measured, size: int, configuration: str) -> None:
        self._play("compile", measured, size, configuration)

    # Only the first process compiles; `-a rounds=N --interleave-rounds` gives N of it.
    time_compile.repeat = 1

    def time_steady(self, measured: Measured, size: int, configuration: str) -> None:
        self._play("steady", measured, size, configuration)

    def track_peakmem(self, measured: Measured, size: int, configuration: str) -> int:
        return max(record.peak_rss_bytes for record in measured[size, configuration])

    # asv's own `peakmem_` reads the memory of the process that it starts; the trial is its child.
    track_peakmem.type, track_peakmem.unit = "peakmemory", "bytes"

    def track_utilisation(self, measured: Measured, size: int, configuration: str) -> float:
        return statistics.median(
            record.utilisation(one)
            for record in measured[size, configuration]
            for one in record.steady
        )

    track_utilisation.unit = "share of the CPUs"

    def track_xla_temporary(self, measured: Measured, size: int, configuration: str) -> int:
        return measured[size, configuration][0].compilation.temporary_bytes

    track_xla_temporary.unit = "bytes"

    def track_agreement_distance(self, measured: Measured, size: int, configuration: str) -> float:
        answers = trials.compared_file(STORE, size, configuration)
        return references.distance_to_reference(answers, self.subject.model, size)

    track_agreement_distance.unit = DISTANCE

    def __init_subclass__(cls) -> None:
        sizes = list(cls.subject.inputs)[: trials.SIZES]
        cls.params = (sizes, [trials.STOCK, trials.RECOMMENDED])
        cls.version = cls.subject.version

    def __init__(self) -> None:
        self.timer = TrialClock()


class ModelAnswers(abc.ABC):
    """Whether the cheapest size still gives the stored answer, and what the guard does in it."""

    subject: trials.Subject
    timeout = 120

    @abc.abstractmethod
    def setup_cache(self) -> list[Record]:
        """Two guarded trials that share a compilation cache."""

    def setup(self, guarded: list[Record]) -> None:
        for record in guarded:
            trials.ensure_ok(record)

    def track_agreement_distance(self, guarded: list[Record]) -> float:
        """In float32, where a change of the answer shows that bfloat16's rounding would hide."""
        size = self.subject.cheapest
        answers = trials.compared_file(STORE, size, trials.FLOAT32)
        return references.distance_to_reference(answers, self.subject.model, size)

    track_agreement_distance.unit = DISTANCE

    def track_guard_lifts(self, guarded: list[Record]) -> int:
        return guarded[0].guard.lifted

    track_guard_lifts.unit = "lifted operands"

    def track_guarded_places(self, guarded: list[Record]) -> int:
        return guarded[0].guard.guarded_equations

    track_guarded_places.unit = "equations"

    def track_compile_cache_misses(self, guarded: list[Record]) -> int:
        """0 where the second of two equal trials finds the program of the first, as it should."""
        assert guarded[0].compilation.cache == "miss"
        return int(guarded[1].compilation.cache != "hit")

    track_compile_cache_misses.unit = "misses"

    def __init_subclass__(cls) -> None:
        cls.version = cls.subject.version


class ModelRates(abc.ABC):
    """How near to the machine's ceiling the cheapest size comes in stock settings."""

    subject: trials.Subject
    timeout = 120

    @abc.abstractmethod
    def setup_cache(self) -> Record:
        """A trial whose further child was traced."""

    def track_flops_share(self, observed: Record) -> float:
        """Achieved FLOP/s of the traced pass over those of a large matrix product."""
        from perfkit.observers.trace.xla_trace import XlaSeen

        found = trials.ensure_ok(observed).observations["xla"]
        if found.missing:
            raise RuntimeError(found.missing)
        seen = XlaSeen.model_validate(found.data)
        return sum(one.compute * one.seconds for one in seen.modules) / seen.pass_s

    track_flops_share.unit = "share of the ceiling"

    def __init_subclass__(cls) -> None:
        cls.version = cls.subject.version

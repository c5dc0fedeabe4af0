"""Observations for a fit: seconds per run of each part, and bytes, from the record of a trial."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.capacity.laws.terms import features_of
from perfkit.models.base import REST
from perfkit.models.costs import WARM_UP, Features
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.records.schema import Compilation, Outcome, Record
from perfkit.records.stages import STARTUP_STAGES, StageName
from perfkit.tuning.choice.extrapolate import part_seconds

PROCESS_ERROR = 0.05
"""Relative difference between processes of one program, which keep different speeds."""

CACHE_HIT = "hit"
"""Value in a record whose program came from the compilation cache."""


@dataclass(frozen=True)
class Observation:
    """The numbers of one trial that laws are fitted to.

    Attributes
    ----------
    record
        Identifier of the record.
    features
        Features of the workload.
    seconds
        Part or stage to seconds per run of the part, or of the stage. Unmeasured ones are missing.
    steady_s
        Median seconds of a timed pass, None without one.
    counts
        Part to its number of runs per pass.
    compiled_bytes
        Temporary, argument and output bytes together, as the compiler counts them for the program
        of the trial.
    output_bytes
        Output bytes alone, as the compiler counts them.
    peak_rss_bytes
        Peak resident bytes up to the last timed pass, None without one. The profiler's memory in a
        traced pass does not belong to a prediction. For the shallow network it is the peak of the
        passes alone: compiling takes more than them, which the weights of the full network hide.
    cpus
        CPUs that the trial was allowed.
    shallow
        Whether the trial ran the shallow network. Its seconds are those of the parts of a full
        pass, predicted from the stacks. Its bytes are its own.
    """

    record: str
    features: Features
    seconds: dict[str, float]
    steady_s: float | None
    counts: dict[str, int]
    compiled_bytes: int
    output_bytes: int
    peak_rss_bytes: int | None
    cpus: int
    shallow: bool = False

    @property
    def overhead_bytes(self) -> float:
        """Peak resident bytes beyond the program and its results once more.

        What the compiler does not count grows as the results of a pass do, with pairs of tokens:
        panels that native kernels pack, and the results of the pass before.
        """
        return float((self.peak_rss_bytes or 0) - self.compiled_bytes - self.output_bytes)


def observe(record: Record) -> Observation | None:
    """Return the observation of a record, None where the trial failed or did not compile."""
    if record.outcome is not Outcome.OK or record.compilation is None:
        return None
    if record.workload.depth == SHALLOW_DEPTH:
        return _of_shallow(record, record.compilation)
    compilation = record.compilation
    steady = [stage.wall_s for stage in record.steady]
    steady_s = statistics.median(steady) if steady else None
    return Observation(
        record=record.id,
        features=features_of(record.workload, record.configuration.settings),
        seconds=part_seconds(record) | _stage_seconds(record, steady_s),
        steady_s=steady_s,
        counts=compilation.parts,
        compiled_bytes=compilation.data_bytes,
        output_bytes=compilation.output_bytes,
        peak_rss_bytes=_peak_bytes(record) if steady else None,
        cpus=record.allowed_cpus,
    )


def _of_shallow(record: Record, compilation: Compilation) -> Observation | None:
    """Return the observation of the full network, None where no pass was traced."""
    parts = record.full_part_times_s
    if not parts:
        return None
    return Observation(
        record=record.id,
        features=features_of(record.workload, record.configuration.settings),
        seconds={name: one / compilation.parts.get(name, 1) for name, one in parts.items()},
        steady_s=sum(parts.values()),
        counts=compilation.parts,
        compiled_bytes=compilation.data_bytes,
        output_bytes=compilation.output_bytes,
        # A process that several programs share holds the memory of all.
        peak_rss_bytes=record.passes_peak_bytes
        if record.steady and not record.shared_process
        else None,
        cpus=record.allowed_cpus,
        shallow=True,
    )


def _peak_bytes(record: Record) -> int:
    return max(stage.peak_rss_bytes for stage in record.stages if stage.name is not StageName.CHECK)


def _stage_seconds(record: Record, steady_s: float | None) -> dict[str, float]:
    once = [*STARTUP_STAGES, StageName.CHECK]
    if record.compilation is not None and record.compilation.cache == CACHE_HIT:
        once.remove(StageName.COMPILE)
    seconds: dict[str, float] = {
        stage.name: stage.wall_s for stage in record.stages if stage.name in once
    }
    first = record.stage(StageName.FIRST)
    if first is not None and steady_s is not None:
        seconds[WARM_UP] = max(0.0, first.wall_s - steady_s)
    return seconds


def has_part_times(observation: Observation) -> bool:
    """Return whether the time of a pass was measured part by part, which laws of time need."""
    return observation.steady_s is not None and any(
        name in observation.seconds for name in (*observation.counts, REST)
    )


def observations(records: Sequence[Record]) -> list[Observation]:
    """Return the observations of all usable records, in their order."""
    return [one for record in records if (one := observe(record)) is not None]

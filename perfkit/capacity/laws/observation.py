"""What a trial's record tells about cost: seconds a run of each part, and bytes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.capacity.laws.terms import STAGES, features_of
from perfkit.models.base import REST
from perfkit.models.costs import CHECK, WARM_UP, Features
from perfkit.records.schema import Outcome, Record
from perfkit.tune.extrapolate import part_seconds

CACHE_HIT = "hit"
"""How a record says that its program came from the compilation cache."""


@dataclass(frozen=True)
class Observation:
    """One trial, reduced to what laws are fitted to.

    Parameters
    ----------
    features
        What cost depends on.
    seconds
        A run of each part, and once for each stage; what was not measured is missing.
    steady_s
        Of a whole pass, None where there was none.
    counts
        How often each part ran in the pass.
    compiled_bytes, output_bytes
        The compiler's count: temporary, arguments and outputs together, and outputs alone.
    peak_rss_bytes
        Of the stages up to the last timed pass, None where there was none: what the profiler
        takes in a traced pass is no part of a prediction.
    cpus
        That the trial was allowed.
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


def observe(record: Record) -> Observation | None:
    """What an ``ok`` record tells, None where it tells nothing that a law could use."""
    if record.outcome is not Outcome.OK or record.compilation is None:
        return None
    compilation = record.compilation
    steady = [stage.wall_s for stage in record.steady]
    steady_s = statistics.median(steady) if steady else None
    return Observation(
        record=record.id,
        features=features_of(record.workload, record.configuration.settings),
        seconds=part_seconds(record) | _stage_seconds(record, steady_s),
        steady_s=steady_s,
        counts=compilation.parts,
        compiled_bytes=compilation.temporary_bytes
        + compilation.argument_bytes
        + compilation.output_bytes,
        output_bytes=compilation.output_bytes,
        peak_rss_bytes=_peak_bytes(record) if steady else None,
        cpus=record.allowed_cpus,
    )


def _peak_bytes(record: Record) -> int:
    return max(stage.peak_rss_bytes for stage in record.stages if stage.name != CHECK)


def _stage_seconds(record: Record, steady_s: float | None) -> dict[str, float]:
    once = [*STAGES, CHECK]
    if record.compilation is not None and record.compilation.cache == CACHE_HIT:
        once.remove("compile")
    seconds = {stage.name: stage.wall_s for stage in record.stages if stage.name in once}
    first = record.stage("first")
    if first is not None and steady_s is not None:
        seconds[WARM_UP] = max(0.0, first.wall_s - steady_s)
    return seconds


def whole(observation: Observation) -> bool:
    """Whether the parts were told apart, which laws of time need."""
    return observation.steady_s is not None and any(
        name in observation.seconds for name in (*observation.counts, REST)
    )


def observations(records: Sequence[Record]) -> list[Observation]:
    """Those of all records that tell something, in their order."""
    return [one for record in records if (one := observe(record)) is not None]

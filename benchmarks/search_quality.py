"""How quickly a search strategy comes near the optimum of a recorded sweep."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.recorded import RecordedSweep
from benchmarks.replayed import ReplayedPass, ReplayRunner, exhaustive_s, recorded_space
from benchmarks.simulated import MemoryStore
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.depths import FULL_DEPTH
from perfkit.tuning.search.strategy import Strategy
from perfkit.tuning.studies.progress import SilentProgress
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan

TOLERANCES = (0.05, 0.02, 0.01)
"""Distances from the optimum, relative to the seconds of its pass."""

AMPLE_BYTES = 1e15
"""Memory of the virtual machine: the recorded configurations fit side by side."""


@dataclass(frozen=True)
class Quality:
    """Shares of the exhaustive cost after which a strategy stays near the optimum.

    Attributes
    ----------
    sweep
        Title of the sweep.
    configurations
        Number of recorded configurations.
    strategy
        Name of the strategy.
    seeds
        Number of studies, each with noise of its own.
    exhaustive_s
        Seconds to measure each configuration once.
    shares
        By tolerance, the median over the studies of the time that is needed, relative to
        ``exhaustive_s``; None where the median study does not come that near.
    reached
        By tolerance, the number of studies that come that near.
    measured
        Median number of configurations that a study has passed.
    """

    sweep: str
    configurations: int
    strategy: str
    seeds: int
    exhaustive_s: float
    shares: Mapping[str, float | None]
    reached: Mapping[str, int]
    measured: float


def quality_of(
    sweep: RecordedSweep,
    make_strategy: Callable[[], Strategy],
    seeds: Iterable[int],
    rounds: int,
    other: RecordedSweep | None = None,
    budget_share: float = 1.0,
) -> Quality:
    """Run studies, and see when they come near the optimum.

    Parameters
    ----------
    sweep
        The recorded sweep.
    make_strategy
        Makes the strategy of each study.
    seeds
        Seeds of the noise, one for each study.
    rounds
        Number of passes of each configuration in an exhaustive measurement.
    other
        Sweep of the same workload at another depth, for trials of that depth.
    budget_share
        Budget of each study, relative to the exhaustive cost.

    Raises
    ------
    UserError
        The sweep has a gap.
    """
    catalogue = Catalogue(get_model(sweep.workload.model).knobs)
    cost_s = exhaustive_s(sweep, catalogue, rounds)
    seeds = tuple(seeds)
    budget_s = budget_share * cost_s
    runs = [_passes_of(sweep, make_strategy(), seed, budget_s, other) for seed in seeds]
    times_s = {
        f"{tolerance:g}": [near_optimum_s(run, sweep, tolerance) for run in runs]
        for tolerance in TOLERANCES
    }
    medians = {name: statistics.median(own) / cost_s for name, own in times_s.items()}
    return Quality(
        sweep=sweep.title,
        configurations=len(sweep.configurations),
        strategy=make_strategy().name,
        seeds=len(seeds),
        exhaustive_s=cost_s,
        shares={name: own if math.isfinite(own) else None for name, own in medians.items()},
        reached={name: sum(map(math.isfinite, own)) for name, own in times_s.items()},
        measured=statistics.median(len({one.configuration for one in run}) for run in runs),
    )


def near_optimum_s(passes: Iterable[ReplayedPass], sweep: RecordedSweep, tolerance: float) -> float:
    """Seconds after which the configuration that looks best stays near the optimum.

    At any moment, the configuration that looks best is the one with the shortest median pass so far
    of all whose answer is right. How near it really is follows from its recorded ratio to stock.

    Parameters
    ----------
    passes
        Passes of a study that are comparable with each other, in order.
    sweep
        The recorded sweep.
    tolerance
        Distance from the optimum, relative to the optimum.

    Returns
    -------
    float
        Seconds on the virtual clock; infinite if the study ends with another configuration.
    """
    seen: dict[str, list[float]] = defaultdict(list)
    medians: dict[str, float] = {}
    most = (1 + tolerance) * sweep.optimum.ratio
    near = {one.digest: one.ratio <= most for one in sweep.configurations if one.right}
    since_s = math.inf
    for one in passes:
        digest = one.configuration.digest
        if digest not in near:
            continue
        seen[digest].append(one.wall_s)
        medians[digest] = statistics.median(seen[digest])
        if not near[min(medians, key=lambda each: medians[each])]:
            since_s = math.inf
        elif math.isinf(since_s):
            since_s = one.at_s
    return since_s


def markdown_of(qualities: Sequence[Quality]) -> str:
    """A table for each sweep, in Markdown, with a row for each strategy."""
    tables = []
    for title in dict.fromkeys(one.sweep for one in qualities):
        own = [one for one in qualities if one.sweep == title]
        heads = [f"within {float(name):.0%}" for name in own[0].shares]
        lines = [
            f"### {title}",
            "",
            f"{own[0].configurations} configurations; exhaustive cost {own[0].exhaustive_s:.0f} s; "
            f"median of {own[0].seeds} studies; in brackets, how many come near if not all.",
            "",
            f"| strategy | {' | '.join(heads)} | configurations measured |",
            f"|---|{'---:|' * len(heads)}---:|",
        ]
        lines += [
            f"| {one.strategy} | {' | '.join(_cells(one))} | {one.measured:.0f} |" for one in own
        ]
        tables.append("\n".join(lines))
    return "\n\n".join(tables) + "\n"


def _cells(quality: Quality) -> list[str]:
    """Shares in percent; where some studies do not come that near, the number of those that do."""
    cells = []
    for name, share in quality.shares.items():
        reached = quality.reached[name]
        text = "not reached" if share is None else f"{share:.1%}"
        cells.append(text if reached == quality.seeds else f"{text} ({reached} of {quality.seeds})")
    return cells


def _passes_of(
    sweep: RecordedSweep,
    strategy: Strategy,
    seed: int,
    budget_s: float,
    other: RecordedSweep | None,
) -> list[ReplayedPass]:
    """The passes of a whole study, without those that take the seconds of another depth."""
    model = get_model(sweep.workload.model)
    space = recorded_space(sweep, model)
    runner = ReplayRunner(sweep, model, seed, other)
    workload = replace(sweep.as_workload(), depth=FULL_DEPTH)
    with tempfile.TemporaryDirectory() as folder:
        store = MemoryStore(Path(folder))
        plan = StudyPlan(
            model, space.catalogue, workload, store, budget_s, AMPLE_BYTES, extrapolate=False
        )
        Study(plan, strategy, runner, SilentProgress(), space).run()
    others = set() if other is None else {other.workload.depth}
    return [one for one in runner.passes if one.depth not in others]

"""The noise of this machine: identical programs are measured as a study measures candidates."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.workload import Workload
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.stats.exact import sequential_ratio
from perfkit.stats.interval import Interval
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.studies.blocks import BlocksPlan, measure_blocks
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner

INERT_FLAG = "xla_gpu_autotune_max_solutions"
"""A flag that affects GPU programs only: on a CPU, configurations that differ in it are equal."""

VISIBLE = {6: 1.81, 9: 1.48, 12: 1.26, 16: 1.07, 24: 0.89}
"""Smallest gain that is found with 80 % power, by number of pairs of processes.

In standard deviations of the logarithm of the ratio of one pair; by simulation of
:func:`perfkit.stats.exact.sequential_ratio` on normal ratios.
"""


@dataclass(frozen=True)
class NoisePlan:
    """The plan of a noise measurement.

    Attributes
    ----------
    catalogue, workload
        The knobs that may be set, and the workload that is measured.
    store
        Store of the records.
    pairs
        Number of pairs of processes.
    passes
        Number of passes of each process.
    """

    catalogue: Catalogue
    workload: Workload
    store: Store
    pairs: int
    passes: int


@dataclass(frozen=True)
class Noise:
    """Differences between identical programs on this machine.

    Attributes
    ----------
    pairs, passes
        Number of pairs of processes, and of passes of each process.
    pass_sigma
        Standard deviation of the logarithm of the ratio of two passes of one round.
    process_sigma
        Additional standard deviation of the logarithm of the ratio of two processes.
    ratio
        Ratio of the two identical configurations; its interval should contain 1.
    """

    pairs: int
    passes: int
    pass_sigma: float
    process_sigma: float
    ratio: Interval

    def pair_sigma(self, passes: int) -> float:
        """Standard deviation of the logarithm of one pair's ratio, for processes of ``passes``."""
        return math.hypot(self.process_sigma, MEDIAN_LOSS * self.pass_sigma / math.sqrt(passes))

    def visible_gain(self, pairs: int, passes: int) -> float:
        """Smallest ratio that is found with 80 % power; ``pairs`` is a key of :data:`VISIBLE`."""
        return math.exp(VISIBLE[pairs] * self.pair_sigma(passes))


MEDIAN_LOSS = 1.2533
"""Standard error of a median relative to that of a mean, for normal noise: sqrt(pi / 2)."""


def inert_configurations(catalogue: Catalogue, count: int) -> list[Configuration]:
    """Configurations that differ from stock and from each other in a flag without effect."""
    return [catalogue.configuration({INERT_FLAG: str(1000 + number)}) for number in range(count)]


def measure_noise(plan: NoisePlan, runner: Runner, progress: Progress) -> list[Record]:
    """Measure pairs of fresh processes of stock and of an equal configuration, in turns."""
    (double,) = inert_configurations(plan.catalogue, 1)
    members = (STOCK, double)
    blocks = BlocksPlan(plan.workload, members, plan.store, "noise", plan.pairs, plan.passes)
    return measure_blocks(blocks, runner, progress)


def noise_of(records: Sequence[Record]) -> Noise | None:
    """The noise that the records of :func:`measure_noise` show; None for fewer than two pairs.

    Notes
    -----
    The variance between processes is estimated by the method of moments: the variance of the
    medians of the pairs, minus the part that their passes explain, and at least 0.
    """
    evidence = Evidence.of_records(records)
    doubles = evidence.finalists
    groups = evidence.screened(STOCK.digest, doubles[0]) if doubles else []
    if len(groups) < 2:
        return None
    centred = [logarithm - statistics.median(rounds) for rounds in groups for logarithm in rounds]
    freedom = max(1, len(centred) - len(groups))
    pass_sigma = math.sqrt(sum(deviation * deviation for deviation in centred) / freedom)
    medians = [statistics.median(rounds) for rounds in groups]
    passes = min(len(rounds) for rounds in groups)
    explained = (MEDIAN_LOSS * pass_sigma) ** 2 / passes
    process_sigma = math.sqrt(max(0.0, statistics.variance(medians) - explained))
    return Noise(len(groups), passes, pass_sigma, process_sigma, sequential_ratio(medians))

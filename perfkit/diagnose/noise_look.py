"""A short look at the noise of this machine: one program, repeated for a few seconds."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import statistics
import time
from collections.abc import Sequence

import numpy as np

from perfkit.observers.load import load_warnings
from perfkit.observers.process_tree import machine_times
from perfkit.records.disturbances import Load
from perfkit.tuning.choice.noise import MEDIAN_LOSS, VISIBLE
from perfkit.units import percent_text

LOOK_S = 3.0
"""Seconds that the program is repeated for."""

SIZE = 1536
"""Rows of the square matrices whose product is the program: 7 GFLOP."""

PAIRS, PASSES = 6, 6
"""Pairs of processes, and passes of each, for which the visible gain is stated."""

NOISY_GAIN = 0.05
"""Visible gain above which the machine counts as noisy. Single knobs often gain less."""


@dataclasses.dataclass(frozen=True)
class NoiseLook:
    """The noise that repeated passes of one program show.

    Attributes
    ----------
    passes
        Number of passes.
    pass_sigma
        Standard deviation of the logarithm of the ratio of two successive passes.
    load
        Load of the machine during the passes.
    """

    passes: int
    pass_sigma: float
    load: Load

    @property
    def visible_gain(self) -> float:
        """Smallest relative gain that a comparison of processes finds with 80 % power, at best.

        It is that of :meth:`perfkit.tuning.choice.noise.Noise.visible_gain` for processes that do
        not differ from each other, which only ``perfkit doctor --noise`` measures.
        """
        pair_sigma = MEDIAN_LOSS * self.pass_sigma / math.sqrt(PASSES)
        return math.expm1(VISIBLE[PAIRS] * pair_sigma)

    @property
    def noisy(self) -> bool:
        """Whether the passes differ much, or other programs use the CPUs."""
        return self.visible_gain > NOISY_GAIN or bool(load_warnings(self.load))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The noise, and the load of other programs, in sentences."""
        return (
            f"noise: two passes of one program differ by {percent_text(self.pass_sigma)} (standard "
            f"deviation of {self.passes} passes); {PAIRS} pairs of processes resolve gains of "
            f"{percent_text(self.visible_gain)} at best (perfkit doctor --noise measures it)",
            *(f"noise: {sentence}" for sentence in load_warnings(self.load)),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the noise as plain data for JSON."""
        return {
            "passes": self.passes,
            "pass_sigma": self.pass_sigma,
            "visible_gain": self.visible_gain,
            "noisy": self.noisy,
            "load": self.load.model_dump(),
        }


def look_at_noise(duration_s: float = LOOK_S) -> NoiseLook:
    """Repeat a matrix product in this process, and measure how much its passes differ.

    Parameters
    ----------
    duration_s
        Seconds that the product is repeated for.
    """
    matrix = np.ones((SIZE, SIZE), np.float32)
    matrix @ matrix  # The first product starts the threads.
    load_average, before, own_s = os.getloadavg()[0], machine_times(), time.process_time()
    begin_s = time.perf_counter()
    ends_s = [begin_s]
    while len(ends_s) < 4 or ends_s[-1] - begin_s < duration_s:
        matrix @ matrix
        ends_s.append(time.perf_counter())
    after, used_s = machine_times(), time.process_time() - own_s
    cpu_time_s = (ends_s[-1] - begin_s) * (os.cpu_count() or 1)
    load = Load(
        load_average_before=load_average,
        steal_fraction=(after.steal_s - before.steal_s) / cpu_time_s,
        other_cpu_fraction=max(0.0, after.busy_s - before.busy_s - used_s) / cpu_time_s,
    )
    passes_s = np.diff(ends_s).tolist()
    return NoiseLook(len(passes_s), ratio_sigma(passes_s), load)


def ratio_sigma(passes_s: Sequence[float]) -> float:
    """Standard deviation of the logarithm of the ratio of two successive passes.

    Parameters
    ----------
    passes_s
        Seconds of each pass, at least 3. Each pass but the last is compared with the next one.
    """
    ratios = [math.log(later / earlier) for earlier, later in itertools.pairwise(passes_s)]
    return statistics.stdev(ratios)

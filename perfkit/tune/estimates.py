"""How long what is still to be done of a tuning will take, from the records so far."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Model, Workload
from perfkit.records.schema import Record
from perfkit.tune.extrapolate import extrapolate
from perfkit.tune.recommend import PARTS_ROLES, REFERENCE_ROLE

START_S = 45.0
"""Seconds from the start of a trial to its first pass, until one has told."""

PASS_S = 30.0
"""Seconds of a pass in stock, until one has told."""

PARTS_PASSES = 3
"""Passes of a trial that tells its parts: the first, a timed one, and one under the profiler."""

PARTS_RATIO = 1.3
"""Seconds of such a pass over those of one that configurations are compared on: fewer diffusion
steps, but of all samples; for AlphaFold 3 between 1.0 and 1.3."""


class Estimates:
    """Wall seconds of what a tuning may do next.

    Parameters
    ----------
    model, workload
        For the parts of its longer run.
    records
        Gives the study's records so far.
    """

    def __init__(
        self, model: Model, workload: Workload, records: Callable[[], Sequence[Record]]
    ) -> None:
        self._model = model
        self._workload = workload
        self._records = records

    def pass_s(self, configuration: Configuration | None = None) -> float:
        """Seconds of a pass: of ``configuration``, else of stock or the reference."""
        own = [
            stage.wall_s
            for record in self._records()
            for stage in record.stages
            if stage.name in ("first", "steady")
            and record.role not in PARTS_ROLES
            and (
                record.role == REFERENCE_ROLE
                if configuration is None
                else record.configuration.digest == configuration.digest
            )
        ]
        if own:
            return min(own)
        return PASS_S if configuration is None else self.pass_s()

    def start_s(self, trials: int = 1) -> float:
        """Seconds from the start of so many trials, side by side, to the first one's first pass.

        Records tell of trials that were started alone and of such that shared the CPUs; the
        longer time is taken where there are several.
        """
        begins = [
            stage.begin_s
            for record in self._records()
            for stage in record.stages
            if stage.name == "first"
        ]
        if not begins:
            return START_S * (1.5 if trials > 1 else 1.0)
        return max(begins) if trials > 1 else statistics.median(begins)

    def screening_s(self, base_s: float, candidates: int, rounds: int) -> float:
        """Seconds to start candidates and measure them in turns with a base of ``base_s``."""
        return self.start_s(candidates) + (candidates + rounds * (1 + candidates)) * base_s

    def parts_s(self, passes_s: Sequence[float]) -> float:
        """Seconds to have the parts of configurations whose passes take ``passes_s``."""
        if not passes_s:
            return 0.0
        return self.start_s(len(passes_s)) + PARTS_PASSES * PARTS_RATIO * sum(passes_s)

    def check_s(self, configuration: Configuration) -> float:
        """Seconds of the longer run that an extrapolation is held against, from its parts."""
        counts = self._model.part_counts(
            {**self._model.part_fidelity(), **self._model.check_fidelity()}, self._workload
        )
        found = extrapolate(self._records(), configuration.digest, {}, counts)
        # It is run twice: the first pass is never the timed one.
        return math.inf if found is None else self.start_s() + 2 * found.total_s

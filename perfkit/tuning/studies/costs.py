"""Predicted durations of the next steps of a study, from its trials so far."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.roles import OTHER_FIDELITY, Role
from perfkit.records.schema import Record
from perfkit.records.stages import PASS_STAGES, StageName
from perfkit.tuning.choice.extrapolate import extrapolate

START_S = 45.0
"""Seconds from the start of a trial to its first pass, before any trial has been measured."""

PROGRAM_S = 20.0
"""Seconds to trace and compile a program in a running process, before any has been measured."""

PASS_S = 30.0
"""Seconds of a pass of stock, before any pass has been measured."""

PARTS_PASSES = 3
"""Passes of a trial that measures its parts: the first, a timed and a traced one."""

PARTS_RATIO = 1.3
"""Duration of a pass of a parts trial relative to a pass at the fidelity of the study. It has fewer
diffusion steps, but all samples; for AlphaFold 3 the ratio is between 1.0 and 1.3."""

BLOCK_PASSES_MOST = 8
"""Most rounds of a confirmation block: more add little, because the speeds of processes
differ."""

UNMEASURED = 1.25
"""Factor on the predicted duration of the first confirmation block: processes that start together
compile more slowly, and a study that runs out of time before its first interval recommends
nothing."""

RECENT_BLOCKS = 3
"""Number of confirmation blocks whose longest duration predicts that of the next one."""


class MeasuredCosts:
    """Predicted wall seconds of the steps of a study.

    Parameters
    ----------
    model, workload
        Model and workload of the study.
    screened
        Workload that candidates are screened on: ``workload``, or the same with a shallow network.
    records
        Returns the records of the study so far.
    live_pass_s
        Returns the seconds of a pass of a configuration whose trial is alive, or None where no such
        trial is alive.
    extrapolates
        Whether the study measures parts.
    """

    def __init__(
        self,
        model: Model,
        workload: Workload,
        screened: Workload,
        records: Callable[[], Sequence[Record]],
        live_pass_s: Callable[[Configuration], float | None] = lambda configuration: None,
        *,
        extrapolates: bool = True,
    ) -> None:
        self._model = model
        self._workload = workload
        self._screened = screened
        self._records = records
        self._live_pass_s = live_pass_s
        self._extrapolates = extrapolates

    def pass_s(self, configuration: Configuration) -> float:
        """Seconds of a screening pass of ``configuration``; of stock if it has none."""
        for wanted in (configuration, STOCK):
            live_s = self._live_pass_s(wanted)
            if live_s is not None:
                return live_s
            own_s = self._passes_s(self._screened, digest=wanted.digest)
            if own_s:
                return min(own_s)
        return min(self._passes_s(self._screened, role=Role.REFERENCE), default=PASS_S)

    def confirmed_pass_s(self, configuration: Configuration) -> float:
        """Seconds of a pass of ``configuration`` at full depth.

        Where it has no such pass, the time of stock, or of the reference, is scaled by the ratio of
        the screening passes.
        """
        if self._screened.digest == self._workload.digest:
            return self.pass_s(configuration)
        own_s = self._passes_s(self._workload, digest=configuration.digest)
        if own_s:
            return min(own_s)
        for digest, role in ((STOCK.digest, None), (None, Role.REFERENCE)):
            known_s = self._passes_s(self._workload, digest=digest, role=role)
            screened_s = self._passes_s(self._screened, digest=digest, role=role)
            if known_s and screened_s:
                return min(known_s) * self.pass_s(configuration) / min(screened_s)
        return PASS_S

    def start_s(self, trials: int = 1, *, compiled: bool = False) -> float:
        """Seconds from the start of processes that start together to the first pass of one of them.

        Parameters
        ----------
        trials
            Number of trials that start together. For several trials, the longest start that was
            measured is taken; it may be that of a trial that shared the CPUs.
        compiled
            Whether their programs come from the compilation cache.
        """
        begins_s = [
            begin_s
            for record in self._records()
            if not record.shared_process and (not compiled or _from_cache(record))
            for begin_s in _starts_s(record)
        ]
        if not begins_s:
            return self.start_s(trials) if compiled else START_S * (1.5 if trials > 1 else 1.0)
        return max(begins_s) if trials > 1 else statistics.median(begins_s)

    def screening_s(
        self, base: Configuration, candidates: Sequence[Configuration], rounds: int
    ) -> float:
        """Seconds to start candidates and measure them in turns with ``base``.

        Candidates are assumed to be as fast as their base.
        """
        passes = len(candidates) + rounds * (1 + len(candidates))
        return self._programs_s(len(candidates)) + passes * self.pass_s(base)

    def _programs_s(self, candidates: int) -> float:
        """Seconds from the start of candidates to the first pass of the last one."""
        records = self._records()
        shared = [record for record in records if record.shared_process]
        if not shared and any(record.role is Role.SCREEN for record in records):
            return self.start_s(candidates)
        starts_s = [
            begin_s
            for record in shared
            if not _from_cache(record) and record.role is Role.SCREEN
            for begin_s in _starts_s(record)
        ]
        # Programs of shared processes start one after another.
        return candidates * (statistics.fmean(starts_s) if starts_s else PROGRAM_S)

    def passes_in_block(self, finalists: Sequence[Configuration]) -> int:
        """Number of rounds that takes about as long as starting the processes of a block."""
        start_s = self.start_s(1 + len(finalists), compiled=True)
        rounds = round(start_s / max(1e-9, self._round_s(finalists)))
        return min(BLOCK_PASSES_MOST, max(1, rounds))

    def block_s(self, finalists: Sequence[Configuration], passes: int) -> float:
        """Seconds of one confirmation block of stock and ``finalists``."""
        measured_s = self._blocks_s({STOCK.digest, *(finalist.digest for finalist in finalists)})
        if measured_s:
            return max(measured_s[-RECENT_BLOCKS:])
        start_s = self.start_s(1 + len(finalists), compiled=True)
        return UNMEASURED * (start_s + (1 + passes) * self._round_s(finalists))

    def parts_s(self, configurations: Sequence[Configuration]) -> float:
        """Seconds to measure the parts of configurations; 0 if the study measures no parts."""
        if not self._extrapolates or not configurations:
            return 0.0
        passes_s = sum(self.confirmed_pass_s(configuration) for configuration in configurations)
        return self.start_s(len(configurations)) + PARTS_PASSES * PARTS_RATIO * passes_s

    def check_s(self, configuration: Configuration) -> float:
        """Seconds of the longer run that checks an extrapolation, predicted from its parts."""
        counts = self._model.part_counts(
            {**self._model.part_fidelity(), **self._model.check_fidelity()}, self._workload
        )
        found = extrapolate(self._records(), configuration.digest, {}, counts)
        # The run has two passes, because the first pass is never the timed one.
        return math.inf if found is None else self.start_s() + 2 * found.total.median

    def _round_s(self, finalists: Sequence[Configuration]) -> float:
        return sum(self.confirmed_pass_s(configuration) for configuration in (STOCK, *finalists))

    def _passes_s(
        self, workload: Workload, digest: str | None = None, role: Role | None = None
    ) -> list[float]:
        """Seconds of all passes of a configuration or of a role, first passes included."""
        return [
            stage.wall_s
            for record in self._records()
            for stage in record.stages
            if stage.name in PASS_STAGES
            and record.role not in OTHER_FIDELITY
            and record.workload.digest == workload.digest
            and digest in (None, record.configuration.digest)
            and role in (None, record.role)
        ]

    def _blocks_s(self, digests: set[str]) -> list[float]:
        """Seconds of the confirmation blocks of exactly these configurations, oldest first."""
        blocks: dict[str | None, list[Record]] = defaultdict(list)
        for record in self._records():
            if record.role == Role.CONFIRM:
                blocks[record.block].append(record)
        return [
            max(stage.begin_s + stage.wall_s for record in members for stage in record.stages)
            for members in blocks.values()
            if {record.configuration.digest for record in members} == digests
            and all(record.steady for record in members)
        ]


def _starts_s(record: Record) -> list[float]:
    """Seconds from the start of a trial to its first pass, if it has one."""
    return [stage.begin_s for stage in record.stages if stage.name is StageName.FIRST]


def _from_cache(record: Record) -> bool:
    return record.compilation is not None and record.compilation.cache == "hit"

"""Processes of trials, as a search sees them, and pairs that passed in turns."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from perfkit.records.depths import FULL_DEPTH
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.stats.exact import log_ratios
from perfkit.tuning.search.settings import Settings, process_settings

CRASHES = (Outcome.CRASHED, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT)
"""Outcomes of a process that ended before its work was done. In a shared process, the program of
any of its trials may have been the cause."""


@dataclass(frozen=True)
class Process:
    """The process of one trial, or the part of a shared process that ran its program.

    Attributes
    ----------
    digest
        Digest of the configuration.
    role
        Purpose of the trial.
    block
        Interleaving block; processes of one block share rounds.
    times_s
        Wall seconds of the passes, by round.
    outcome
        Outcome of the trial, or None while it is alive.
    settings
        Settings of the configuration.
    depth
        Depth of the workload's network. Times of different depths are not compared.
    shared
        Whether the operating system's process held the programs of other trials too.
    ready
        Whether the program reached its first pass.
    """

    digest: str
    role: Role
    block: str | None
    times_s: Mapping[int, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    settings: Settings = ()
    depth: str = FULL_DEPTH
    shared: bool = False
    ready: bool = True

    @classmethod
    def of_record(cls, record: Record) -> Process:
        """The process that left ``record``."""
        return cls(
            record.configuration.digest,
            record.role,
            record.block,
            {stage.round: stage.wall_s for stage in record.steady if stage.round is not None},
            record.outcome,
            tuple(sorted(record.configuration.settings.items())),
            record.workload.depth,
            record.shared_process,
            record.stage(StageName.FIRST) is not None,
        )

    @property
    def crashed_with_others(self) -> bool:
        """Whether the process crashed, and the program of another trial may be the cause."""
        return self.shared and self.outcome in CRASHES

    def shares_process(self, other: Process) -> bool:
        """Whether both programs ran in one process of the operating system.

        Processes of one block are shared by the programs whose process-wide settings are equal.
        """
        return (
            self.shared
            and other.shared
            and self.block == other.block
            and process_settings(self.settings) == process_settings(other.settings)
        )


@dataclass(frozen=True)
class Pair:
    """Two processes of different configurations that passed in turns.

    Attributes
    ----------
    first, second
        The processes.
    logarithms
        Logarithms of ``first / second``, one per round that both passed; at least one.
    """

    first: Process
    second: Process
    logarithms: tuple[float, ...]

    @property
    def together(self) -> bool:
        """Whether both programs ran in one process, so that its speed cancels in the ratios."""
        return self.first.shares_process(self.second)

    @property
    def median(self) -> float:
        """Median of the logarithms."""
        return statistics.median(self.logarithms)


def common_rounds(first: Process, second: Process) -> list[float]:
    """Logarithms of ``first / second``, one per round that both passed."""
    common = sorted(first.times_s.keys() & second.times_s.keys())
    return log_ratios(
        [first.times_s[number] for number in common],
        [second.times_s[number] for number in common],
    )

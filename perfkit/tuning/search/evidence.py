"""Evidence about configurations: passes, outcomes, and the ratios between configurations.

Evidence is built from records and from living trials, and is all that a search strategy sees. This
module runs nothing.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from perfkit.knobs.configuration import STOCK
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import LOOKS, first_look, log_ratios, sequential_ratio
from perfkit.stats.interval import Interval

DETERMINISTIC = (Outcome.NONFINITE, Outcome.DISAGREES, Outcome.REJECTED)
"""Outcomes that another trial of the configuration would repeat."""

ATTEMPTS = 2
"""Crashes after which a configuration is given up: one killed process may be an accident."""

FALSE_WINNERS = 0.05
"""Probability that a study recommends any configuration that is not faster."""


@dataclass(frozen=True)
class Process:
    """The process of one trial.

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
    """

    digest: str
    role: Role
    block: str | None
    times_s: Mapping[int, float] = field(default_factory=dict)
    outcome: Outcome | None = None

    @classmethod
    def of_record(cls, record: Record) -> Process:
        """The process that left ``record``."""
        times_s = {stage.round: stage.wall_s for stage in record.steady if stage.round is not None}
        return cls(record.configuration.digest, record.role, record.block, times_s, record.outcome)


class Evidence:
    """All processes of a study and workload, oldest first.

    Parameters
    ----------
    processes
        Processes of finished and of living trials.
    """

    def __init__(self, processes: Iterable[Process]) -> None:
        self._processes = tuple(processes)

    @classmethod
    def of_records(cls, records: Iterable[Record], alive: Iterable[Process] = ()) -> Evidence:
        """Evidence of the records of finished trials and of living processes."""
        return cls([*(Process.of_record(record) for record in records), *alive])

    # -- outcomes -----------------------------------------------------------------------------

    def failed(self, digest: str) -> bool:
        """Whether a configuration is given up: wrong, refused, crashed for good, or disturbed."""
        outcomes = [process.outcome for process in self._of(digest) if process.outcome is not None]
        return gives_up(outcomes) or self.disturbed(digest)

    def disturbed(self, digest: str) -> bool:
        """Whether the last trials of a configuration ended well without a valid pass.

        Other programs on the machine disturbed all of their passes, and would disturb those of
        another trial.
        """
        wanted = (Role.SCREEN, Role.CONFIRM)
        ended = [
            process for process in self._of(digest) if process.outcome and process.role in wanted
        ]
        last = ended[-ATTEMPTS:]
        return len(last) == ATTEMPTS and all(
            process.outcome is Outcome.OK and not process.times_s for process in last
        )

    # -- ratios -------------------------------------------------------------------------------

    def screened(self, base: str, candidate: str) -> list[list[float]]:
        """Logarithms of ``base / candidate`` for the rounds that both passed.

        Returns
        -------
        list of list of float
            One list per pair of processes, oldest first; none is empty.
        """
        found = (_common_rounds(*pair) for pair in self._pairs(base, candidate))
        return [rounds for rounds in found if rounds]

    def round_medians(self) -> dict[tuple[str, str], tuple[float, int]]:
        """Median of ``base / candidate`` over shared rounds and number of rounds, by digests."""
        blocks: dict[str, list[Process]] = defaultdict(list)
        for process in self._processes:
            if process.block is not None and process.times_s:
                blocks[process.block].append(process)
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        for members in blocks.values():
            for base, other in itertools.permutations(members, 2):
                if base.digest != other.digest:
                    found[base.digest, other.digest] += _common_rounds(base, other)
        return {
            edge: (math.exp(statistics.median(rounds)), len(rounds))
            for edge, rounds in found.items()
            if rounds
        }

    def confirmed(self, base: str, candidate: str) -> list[float]:
        """Logarithms of ``base / candidate``, one per confirmation block, oldest first.

        In each block, both configurations ran in processes that were started for that block. The
        blocks are independent of each other and of the screening that chose the candidate. Where
        memory holds one trial only, a block has several processes, but counts once: neighbouring
        pairs share a process.
        """
        blocks: dict[str, list[float]] = defaultdict(list)
        for first, second in self._pairs(base, candidate):
            if first.block is not None and first.role == second.role == Role.CONFIRM:
                blocks[first.block] += _common_rounds(first, second)
        return [statistics.median(rounds) for rounds in blocks.values() if rounds]

    def confirmation(self, base: str, candidate: str) -> Interval | None:
        """Speed-up of a candidate over ``base`` from confirmation blocks, or None without blocks.

        The confidence level accounts for the finalists that had an interval before, see
        :func:`confidence_of`.
        """
        logarithms = self.confirmed(base, candidate)
        if not logarithms:
            return None
        return sequential_ratio(logarithms, self._confidence(candidate))

    def first_look(self, candidate: str) -> int:
        """Number of confirmation blocks before the first interval of a finalist."""
        return first_look(self._confidence(candidate))

    def _confidence(self, candidate: str) -> float:
        judged = self._judged
        return confidence_of(judged.index(candidate) if candidate in judged else len(judged))

    @cached_property
    def finalists(self) -> tuple[str, ...]:
        """Digests of the configurations with confirmation blocks, in order of the first block."""
        confirmed = (process.digest for process in self._processes if process.role == Role.CONFIRM)
        return tuple(digest for digest in dict.fromkeys(confirmed) if digest != STOCK.digest)

    @cached_property
    def _judged(self) -> list[str]:
        """Finalists with enough blocks for an interval, in the order in which they reached it."""
        judged: list[str] = []
        blocks: dict[str, set[str | None]] = defaultdict(set)
        for process in self._processes:
            if process.role == Role.CONFIRM and process.digest != STOCK.digest and process.times_s:
                blocks[process.digest].add(process.block)
                if len(blocks[process.digest]) == LOOKS[0] and process.digest not in judged:
                    judged.append(process.digest)
        return judged

    def _of(self, digest: str) -> list[Process]:
        return self._by_digest.get(digest, [])

    @cached_property
    def _by_digest(self) -> dict[str, list[Process]]:
        found: dict[str, list[Process]] = defaultdict(list)
        for process in self._processes:
            found[process.digest].append(process)
        return found

    def _pairs(self, base: str, candidate: str) -> Iterator[tuple[Process, Process]]:
        """Processes of two configurations that share a block."""
        for first, second in itertools.product(self._of(base), self._of(candidate)):
            if first.block is not None and first.block == second.block:
                yield first, second


def gives_up(outcomes: Sequence[Outcome]) -> bool:
    """Whether the outcomes of a configuration's trials, oldest first, rule out another trial.

    A wrong answer or a refusal would repeat itself. A crash, a kill or a time limit may be an
    accident: the configuration is tried once more, and a later ``ok`` supersedes it.
    """
    if any(outcome in DETERMINISTIC for outcome in outcomes):
        return True
    ends = [outcome for outcome in outcomes if outcome is not Outcome.INTERRUPTED]
    last_ok = max((at for at, outcome in enumerate(ends) if outcome is Outcome.OK), default=-1)
    return len(ends) - 1 - last_ok >= ATTEMPTS


def confidence_of(rank: int) -> float:
    """Confidence level of the speed-up of a finalist.

    Parameters
    ----------
    rank
        Number of finalists that had enough blocks for an interval before this one.

    Returns
    -------
    float
        0.95 for the first finalist; the error of each further one is half that of the one before.
        The lower end of an interval exceeds 1 by accident with half of its error, so that the sum
        over all finalists is at most :data:`FALSE_WINNERS`, however many there are.
    """
    return 1 - FALSE_WINNERS * 0.5**rank


def _common_rounds(first: Process, second: Process) -> list[float]:
    common = sorted(first.times_s.keys() & second.times_s.keys())
    return log_ratios(
        [first.times_s[number] for number in common],
        [second.times_s[number] for number in common],
    )

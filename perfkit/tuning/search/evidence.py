"""Evidence about configurations: passes, outcomes, and the ratios between configurations.

Evidence is built from records and from living trials, and is all that a search strategy sees. This
module runs nothing.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from perfkit.knobs.configuration import STOCK
from perfkit.records.depths import FULL_DEPTH
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import LOOKS, first_look, sequential_ratio
from perfkit.stats.interval import Interval
from perfkit.tuning.search.processes import Pair, Process, common_rounds
from perfkit.tuning.search.settings import Settings

DETERMINISTIC = (Outcome.NONFINITE, Outcome.DISAGREES, Outcome.REJECTED)
"""Outcomes that another trial of the configuration would repeat."""

ATTEMPTS = 2
"""Crashes after which a configuration is given up: one killed process may be an accident."""

FALSE_WINNERS = 0.05
"""Probability that a study recommends any configuration that is not faster."""

COMPARED = (Role.BASE, Role.SCREEN, Role.CONFIRM)
"""Roles of the trials of a search."""


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
        # A success of a shallow network does not make up for a crash at full depth.
        outcomes: dict[str, list[Outcome]] = defaultdict(list)
        shared_crashes = 0
        for process in self._of(digest):
            if process.role == Role.BASE and process.ready and process.crashed_with_others:
                # The base passed before, so that a candidate in the same process is as likely the
                # cause: every second of these crashes counts.
                shared_crashes += 1
                if shared_crashes % 2:
                    continue
            if process.outcome is not None:
                outcomes[process.depth].append(process.outcome)
        return any(gives_up(of_depth) for of_depth in outcomes.values()) or self.disturbed(digest)

    def crashed_with_others(self, digest: str) -> bool:
        """Whether a shared process crashed with a configuration, which may not be the cause."""
        return any(process.crashed_with_others for process in self._of(digest))

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

    @cached_property
    def looked_at(self) -> Mapping[str, Settings]:
        """Settings by digest of the configurations that were compared with others, or failed.

        Stock is not among them: it is what the others are compared with.
        """
        return {
            process.digest: process.settings
            for process in self._processes
            if process.role in COMPARED
            and process.digest != STOCK.digest
            and (process.times_s or process.outcome not in (None, Outcome.INTERRUPTED))
        }

    # -- ratios -------------------------------------------------------------------------------

    def screened(self, base: str, candidate: str) -> list[list[float]]:
        """Logarithms of ``base / candidate`` for the rounds that both passed.

        Returns
        -------
        list of list of float
            One list per pair of processes, oldest first; none is empty.
        """
        return [list(pair.logarithms) for pair in self.pairs(base, candidate)]

    def pairs(self, base: str, candidate: str) -> list[Pair]:
        """Pairs of processes of two configurations with common rounds, oldest first."""
        found = (_pair(*processes) for processes in self._pairs(base, candidate))
        return [pair for pair in found if pair is not None]

    @cached_property
    def comparisons(self) -> tuple[Pair, ...]:
        """One pair for each process that passed in turns with another, and no pair twice.

        The partner is the base of its screening, which passed in every round of it, or else the
        process with the most common rounds. Further pairs of a block follow from these.
        """
        blocks: dict[tuple[str, str], list[Process]] = defaultdict(list)
        for process in self._processes:
            if process.block is not None and process.times_s:
                blocks[process.block, process.depth].append(process)
        found: dict[frozenset[int], Pair] = {}
        for members in blocks.values():
            for process, others in _partners(members):
                pairs = [
                    pair
                    for other in others
                    if other.digest != process.digest and (pair := _pair(other, process))
                ]
                if pairs:
                    best = max(pairs, key=_centrality)
                    found.setdefault(frozenset([id(best.first), id(process)]), best)
        return tuple(found.values())

    def round_medians(self) -> dict[tuple[str, str], tuple[float, int]]:
        """Median of ``base / candidate`` over shared rounds and number of rounds, by digests."""
        blocks: dict[str, list[Process]] = defaultdict(list)
        for process in self._processes:
            if process.block is not None and process.times_s:
                blocks[process.block].append(process)
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        for members in blocks.values():
            for base, others in _partners(members):
                for other in others:
                    if base.digest != other.digest and base.depth == other.depth:
                        found[base.digest, other.digest] += common_rounds(base, other)
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
            confirms = first.role == second.role == Role.CONFIRM and first.depth == FULL_DEPTH
            if first.block is not None and confirms:
                blocks[first.block] += common_rounds(first, second)
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

    @cached_property
    def _by_place(self) -> dict[tuple[str, str | None, str], list[Process]]:
        """Processes by digest, block and depth; those without a block share none."""
        found: dict[tuple[str, str | None, str], list[Process]] = defaultdict(list)
        for process in self._processes:
            if process.block is not None:
                found[process.digest, process.block, process.depth].append(process)
        return found

    def _pairs(self, base: str, candidate: str) -> Iterator[tuple[Process, Process]]:
        """Processes of two configurations that share a block and a depth."""
        for first in self._of(base):
            for second in self._by_place.get((candidate, first.block, first.depth), ()):
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


def _partners(members: Sequence[Process]) -> Iterator[tuple[Process, list[Process]]]:
    """Each process of a block with the others that passed in one of its rounds, in their order.

    A screening may have thousands of processes in one block. Each but the base passed in a few
    rounds, so that partners are looked up by round and not among all processes.
    """
    passed: dict[int, list[int]] = defaultdict(list)
    for position, process in enumerate(members):
        for number in process.times_s:
            passed[number].append(position)
    for position, process in enumerate(members):
        others = {other for number in process.times_s for other in passed[number]} - {position}
        yield process, [members[other] for other in sorted(others)]


def _pair(first: Process, second: Process) -> Pair | None:
    """The pair of two processes, or None if they have no common round."""
    logarithms = common_rounds(first, second)
    return Pair(first, second, tuple(logarithms)) if logarithms else None


def _centrality(pair: Pair) -> tuple[bool, int, int, str]:
    """Sort key of the partners of a process."""
    partner = pair.first
    return (
        partner.role == Role.BASE,
        len(pair.logarithms),
        len(partner.times_s),
        partner.digest,
    )

"""The interface of search strategies: evidence and budget in, the next step of a study out.

A strategy runs nothing and holds no state. The same evidence and budget give the same decision, so
that an interrupted study resumes where it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.tuning.choice.memory_exchange import DEFAULT_MEMORY_EXCHANGE, least_gain
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.settings import Settings

type Change = tuple[tuple[str, str], ...]
"""Pairs of knob and value that are tried in one step."""


@dataclass(frozen=True)
class Screen:
    """Measure candidates in turns with the incumbent that they would replace.

    Attributes
    ----------
    base
        The incumbent.
    candidates
        Candidates that are started side by side.
    rounds_most
        Number of rounds after which the screening ends, decided or not.
    fresh
        Whether the base needs a new process for this screening.
    """

    base: Configuration
    candidates: tuple[Configuration, ...]
    rounds_most: int
    fresh: bool = False


@dataclass(frozen=True)
class Confirm:
    """Measure one confirmation block: stock and the finalists, each in a new process.

    Attributes
    ----------
    finalists
        Configurations that may be recommended.
    passes
        Number of rounds of the block.
    """

    finalists: tuple[Configuration, ...]
    passes: int


@dataclass(frozen=True)
class Stop:
    """End the search.

    Attributes
    ----------
    reasons
        What is left undone: one sentence for each step, with the reason.
    final
        Whether the same search with the same budget would end here again.
    """

    reasons: tuple[str, ...] = ()
    final: bool = True


type Decision = Screen | Confirm | Stop


@dataclass(frozen=True)
class SearchSpace:
    """The changes that a search may try, and the values that it may combine.

    Attributes
    ----------
    catalogue
        The knobs that may be set.
    changes
        Changes to try, most promising first.
    memory_exchange
        Share of time that a doubling of the memory has to save.
    required
        Names of the knobs that every configuration except stock sets, because their defaults break
        a constraint.
    """

    catalogue: Catalogue
    changes: tuple[Change, ...]
    memory_exchange: float = DEFAULT_MEMORY_EXCHANGE
    required: frozenset[str] = frozenset()

    @cached_property
    def values(self) -> Mapping[str, tuple[str, ...]]:
        """Values of each knob that may be combined, the default first."""
        found: dict[str, dict[str, None]] = {}
        for change in self.changes:
            for name, value in change:
                found.setdefault(name, {self.catalogue.knob(name).default: None})[value] = None
        return {name: tuple(values) for name, values in found.items()}

    @property
    def size(self) -> int:
        """Number of configurations: all combinations of the values, stock included."""
        counts = (len(values) - (name in self.required) for name, values in self.values.items())
        return math.prod(counts) + bool(self.required)

    @cached_property
    def key(self) -> str:
        """Digest of the values: a study that is settled in one space is searched in another.

        The order of the changes does not count, so that another start continues a study.
        """
        return short_digest({name: sorted(values) for name, values in self.values.items()})

    def holds(self, settings: Settings) -> bool:
        """Whether a configuration with these settings is stock or one of the combinations."""
        if settings and not self.required <= dict(settings).keys():
            return False
        return all(value in self.values.get(name, ()) for name, value in settings)

    def least_gain(self, base: Configuration, candidate: Configuration) -> float:
        """Ratio of times above which a candidate is worth the memory that it is known to need."""
        known_memory = self.catalogue.known_memory
        ratio = known_memory(dict(candidate.settings)) / known_memory(dict(base.settings))
        return least_gain(ratio, self.memory_exchange)

    def started_from(self, starts: Iterable[Configuration]) -> SearchSpace:
        """The space with configurations that won elsewhere as its first changes.

        Configurations with values that the space lacks are left out.
        """
        known = [start.settings for start in starts if self.holds(start.settings)]
        return replace(self, changes=tuple(dict.fromkeys((*known, *self.changes))))

    def changed(self, base: Configuration, change: Change) -> Configuration:
        """``base`` with the values of ``change``."""
        for name, value in change:
            base = self.catalogue.changed(base, name, value)
        return base


class Costs(Protocol):
    """Predicted wall seconds of the steps of a study."""

    def pass_s(self, configuration: Configuration) -> float:
        """Seconds of one pass."""
        ...

    def screening_s(
        self, base: Configuration, candidates: Sequence[Configuration], rounds: int
    ) -> float:
        """Seconds to start candidates and measure them in turns with ``base``."""
        ...

    def block_s(self, finalists: Sequence[Configuration], passes: int) -> float:
        """Seconds of one confirmation block of stock and ``finalists``."""
        ...

    def passes_in_block(self, finalists: Sequence[Configuration]) -> int:
        """Number of rounds that takes about as long as starting the processes of a block."""
        ...

    def parts_s(self, configurations: Sequence[Configuration]) -> float:
        """Seconds to measure the parts of configurations; 0 if the study measures no parts."""
        ...


@dataclass(frozen=True)
class Budget:
    """The remaining time of a study, and the predicted durations of its steps.

    Attributes
    ----------
    remaining_s
        Wall seconds that are left.
    costs
        Predicted durations.
    shared
        Whether screening compiles programs of equal process-wide settings in one process, which
        makes further candidates cheap.
    workers
        Number of workers that measure at the same time, each on a node of its own. Each of them
        takes one candidate, or one confirmation block, at a time.
    """

    remaining_s: float
    costs: Costs
    shared: bool = False
    workers: int = 1

    def turns(self, count: int) -> int:
        """Number of steps that a worker takes in turn if all workers share ``count`` steps."""
        return math.ceil(count / self.workers)


class Strategy(Protocol):
    """Decides what a study measures next.

    Attributes
    ----------
    name
        Name in the registry.
    """

    name: str

    @property
    def key(self) -> str:
        """Name and parameters; a study that is settled under one key is searched under another."""
        ...

    def check(self, space: SearchSpace) -> None:
        """Refuse a space that the strategy cannot search.

        Raises
        ------
        UserError
            The space is too large for the strategy.
        """
        ...

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """The next step of the study."""
        ...

    def needs_round(self, logarithms: Sequence[float], together: bool = False) -> bool:
        """Whether a candidate that is being screened needs another round.

        Parameters
        ----------
        logarithms
            Logarithms of ``base / candidate``, one per round of the living processes; empty before
            their first round.
        together
            Whether base and candidate run in one process.
        """
        ...

    def winners(
        self,
        evidence: Evidence,
        space: SearchSpace,
        base: Configuration,
        candidates: Sequence[Configuration],
    ) -> Sequence[Configuration]:
        """The screened candidates that won against ``base``, best first.

        The first of them whose answer is right stays alive, as the base of the next screening.
        """
        ...


def change_text(change: Change) -> str:
    """A change as the user writes it, ``NAME=VALUE`` for each knob."""
    return " ".join(f"{name}={value}" for name, value in change)

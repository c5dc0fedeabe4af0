"""What a search strategy is: from what is known and what is left, the next step of a study.

A strategy runs nothing and remembers nothing: the same evidence and budget give the same answer,
which is why a study that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.tune.search.evidence import Evidence

type Change = tuple[tuple[str, str], ...]
"""Knobs and values that are tried in one step."""


@dataclass(frozen=True)
class Screen:
    """Measure candidates in turns with the configuration that they would replace.

    Attributes
    ----------
    base
        The incumbent.
    candidates
        Started side by side.
    rounds_most
        Passes of each after which the screening ends, decided or not.
    fresh
        Whether the base has to run in a process of its own, started for this screening.
    """

    base: Configuration
    candidates: tuple[Configuration, ...]
    rounds_most: int
    fresh: bool = False


@dataclass(frozen=True)
class Confirm:
    """Measure one confirmation block: stock and finalists, each in a process of its own.

    Attributes
    ----------
    finalists
        What may be recommended; stock is measured with them.
    passes
        Rounds of the block.
    """

    finalists: tuple[Configuration, ...]
    passes: int


@dataclass(frozen=True)
class Stop:
    """Measure no further.

    Attributes
    ----------
    reasons
        One sentence for each thing that is left undone, with the reason; empty where nothing is.
    final
        Whether the same command with the same budget would end here again.
    """

    reasons: tuple[str, ...] = ()
    final: bool = True


type Decision = Screen | Confirm | Stop


@dataclass(frozen=True)
class SearchSpace:
    """What may be tried.

    Attributes
    ----------
    catalogue
        The model's knobs.
    changes
        What to try, most promising first.
    """

    catalogue: Catalogue
    changes: tuple[Change, ...]

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
        """Rounds of a block that cost about as much as starting its processes does."""
        ...

    def parts_s(self, configurations: Sequence[Configuration]) -> float:
        """Seconds to measure the parts of configurations; 0 where that is not wanted."""
        ...


@dataclass(frozen=True)
class Budget:
    """What is left of a study's time, and what its steps are predicted to take."""

    remaining_s: float
    costs: Costs


class Strategy(Protocol):
    """A search strategy."""

    name: str
    """Part of what makes a settled study settled."""

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """The next step of the study."""
        ...


def change_text(change: Change) -> str:
    """``NAME=VALUE`` of each knob of a change."""
    return " ".join(f"{name}={value}" for name, value in change)

"""Strategies that learn nothing: all combinations in order, or in random order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.tuning.search.known import Known, first_new
from perfkit.tuning.search.space_search import SpaceSearch
from perfkit.tuning.search.strategy import SearchSpace

GRID_MOST = 1000
"""Most configurations of a grid. At 15 s each, their screening takes about four hours."""


class Grid(SpaceSearch):
    """Screens all combinations of the values, those with the fewest settings first."""

    name = "grid"
    screens_singles = False

    def check(self, space: SearchSpace) -> None:
        """Refuse a space with more than :data:`GRID_MOST` configurations.

        Raises
        ------
        UserError
            The space is larger.
        """
        if space.size > GRID_MOST:
            raise UserError(
                f"strategy {self.name!r} measures every combination, of which this space has "
                f"{space.size:,}, and takes at most {GRID_MOST:,}; name fewer knobs or values with "
                "--knob, or choose another strategy"
            )

    def propose(self, known: Known, count: int) -> Sequence[Configuration]:
        """The next combinations."""
        # Sorting is stable: combinations of equally many settings keep the order of the knobs.
        ordered = sorted(known.combinations(), key=lambda one: len(one.settings))
        return first_new(known, iter(ordered), count)

    def left_text(self, known: Known) -> str | None:
        """How many combinations were not screened."""
        return _left(known)


@dataclass(frozen=True)
class RandomSearch(SpaceSearch):
    """Screens combinations in random order, none of them twice, until the budget ends.

    Attributes
    ----------
    seed
        Seed of the order, which also depends on the space.
    """

    name = "random"
    screens_singles = False

    seed: int = 0

    def propose(self, known: Known, count: int) -> Sequence[Configuration]:
        """The next combinations."""
        return first_new(known, known.shuffled(self.seed), count)

    def left_text(self, known: Known) -> str | None:
        """How many combinations were not screened."""
        return _left(known)


def _left(known: Known) -> str:
    return (
        f"{known.space.size - known.count:,} of {known.space.size - 1:,} configurations were not "
        "tried, because the budget is too short; run again with a larger --budget to continue"
    )

"""The part of a strategy that tests seldom care about."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.knobs.configuration import Configuration
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.strategy import SearchSpace


class EveryRound:
    """Accepts every space, screens until the rounds end, and keeps no candidate."""

    name: str

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    def check(self, space: SearchSpace) -> None:
        """Accept every space."""

    def needs_round(self, logarithms: Sequence[float], together: bool = False) -> bool:
        """Until the screening ends."""
        return True

    def winners(
        self,
        evidence: Evidence,
        space: SearchSpace,
        base: Configuration,
        candidates: Sequence[Configuration],
    ) -> Sequence[Configuration]:
        """None."""
        return ()

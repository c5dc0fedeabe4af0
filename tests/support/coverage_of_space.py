"""How much of a space a search looked at."""

from __future__ import annotations

from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.strategy import SearchSpace


def coverage_text(evidence: Evidence, space: SearchSpace) -> str:
    """How much of the space a search looked at, for a reader.

    Stock is not counted. Configurations that failed are: they need not be looked at again.
    """
    looked_at = sum(space.holds(settings) for settings in evidence.looked_at.values())
    return f"looked at {looked_at:,} of {space.size - 1:,} configurations"

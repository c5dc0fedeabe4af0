"""The tables of the README name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from perfkit.tuning.goals.objectives import OBJECTIVES
from perfkit.tuning.search.registry import DEFAULT_STRATEGY, STRATEGIES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def _first_column(header: str) -> list[str]:
    """Names in the first column of the table whose header begins with a word."""
    table = README.split(f"\n| {header} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))


def test_every_objective_is_described() -> None:
    assert _first_column("objective") == list(OBJECTIVES)


def test_every_strategy_is_described_and_the_default_is_marked() -> None:
    assert sorted(_first_column("strategy")) == sorted(STRATEGIES)
    assert f"| `{DEFAULT_STRATEGY}` (default) |" in README

"""``perfkit compare --structures``: two folders of structures, by their distribution over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.cli.console import Console
from perfkit.cli.json_output import print_json

if TYPE_CHECKING:
    from perfkit.answers.ensembles import EnsembleComparison

HEADERS = ("distance of two seeds", "within the first", "within the second", "between", "p-value")


def main(first: Path, second: Path, *, as_json: bool = False) -> int:
    """Compare and print; 1 if the distributions differ, else 0."""
    from perfkit.answers.ensembles import compare_folders

    result = compare_folders(first, second)
    console = Console(to_stderr=as_json)
    console.table(HEADERS, _rows(result))
    console.line(result.sentence())
    if as_json:
        print_json({"sentence": result.sentence(), "comparison": result})
    return int(bool(result.differing))


def _rows(result: EnsembleComparison) -> list[Sequence[str]]:
    return [
        (
            f"{each.name}, median",
            *(
                f"{value:.3g} {each.unit}".strip()
                for value in (each.within_first, each.within_second, each.between)
            ),
            f"{each.test.p_value:.2g}",
        )
        for each in result.measures
    ]

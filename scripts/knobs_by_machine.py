"""Write the table of what each knob value won on each CPU, from the records in ``reports/``.

    python scripts/knobs_by_machine.py

Two configurations are compared where they took turns: in one interleaving block, over the rounds
that both passed. A cell is the median of *time without / time with* the value over these rounds. It
has an interval only where blocks of fresh processes support one, as in the recommendation of a
tuning.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfkit.files import write_whole
from perfkit.models import get_model
from perfkit.presets.advice import cpu_text
from perfkit.records.depths import FULL_DEPTH
from perfkit.records.schema import Record
from perfkit.records.settings import settings_label
from perfkit.records.store import read_records
from perfkit.stats.exact import sequential_ratio
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.recommend import measured_at_own_fidelity
from perfkit.tuning.search.evidence import Evidence
from perfkit.units import ratio_text

REPOSITORY = Path(__file__).resolve().parents[1]

INTRODUCTION = """\
# What each knob value won, by CPU

```
python scripts/knobs_by_machine.py
```

These tables are made from all records in `reports/`; `knobs.json` holds the same as data, with the
folders of the records. A cell is *time without the value / time with it*, for configurations that
are equal in every other setting and took turns on the machine: above 1, the value is faster. In
parentheses are the numbers of rounds and of pairs of processes. A cell with a 95 % interval, in
brackets, rests on pairs of fresh processes. The others are medians over the rounds of a screening,
which stops early at clear losers: a value of few rounds is not certain."""

type Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True, order=True)
class Column:
    """A workload on a kind of CPU.

    Attributes
    ----------
    model, size, depth
        Model, size of the input in the model's unit, and depth of the network.
    cpu
        Name, family and model number of the CPU.
    instruction_sets
        Those of :data:`perfkit.records.machine.INSTRUCTION_SETS` that the CPU has.
    """

    model: str
    size: int
    depth: str
    cpu: str
    instruction_sets: tuple[str, ...]

    @property
    def title(self) -> str:
        """Head of the column: ``76 tokens, AMD EPYC (family 25, model 17)``."""
        shallow = "" if self.depth == FULL_DEPTH else f", {self.depth}"
        return f"{self.size} {get_model(self.model).size_unit}{shallow}, {self.cpu}"


@dataclass(frozen=True, order=True)
class Change:
    """Settings that one configuration has in addition to another, or instead of its own.

    Attributes
    ----------
    settings
        The settings.
    instead_of
        Value of the same knob that the other configuration has; empty for the default.
    """

    settings: Settings
    instead_of: str = ""

    @property
    def label(self) -> str:
        """The change for a reader."""
        instead = f" instead of {self.instead_of}" if self.instead_of else ""
        return settings_label(self.settings) + instead


@dataclass
class Cell:
    """What a change won.

    Attributes
    ----------
    rounds
        Logarithms of *time without / time with*, one list per pair of processes.
    confirmed
        The same, one number per block of fresh processes.
    records
        Folders of the records, relative to the repository.
    """

    rounds: list[list[float]] = field(default_factory=list)
    confirmed: list[float] = field(default_factory=list)
    records: set[str] = field(default_factory=set)

    @property
    def ratio(self) -> Interval:
        """Median over all rounds; from blocks of fresh processes where they give an interval."""
        if self.confirmed:
            ratio = sequential_ratio(self.confirmed)
            if ratio.known:
                return ratio
        every = [logarithm for rounds in self.rounds for logarithm in rounds]
        return Interval(math.exp(statistics.median(every)), None, None, len(every))

    def data(self) -> dict[str, Any]:
        """The cell as plain data."""
        ratio = self.ratio
        return {
            "ratio": round(ratio.median, 3),
            "interval": None if ratio.ends is None else [round(end, 3) for end in ratio.ends],
            "rounds": sum(map(len, self.rounds)),
            "pairs_of_processes": len(self.rounds),
            "confirmation_blocks": len(self.confirmed),
            "records": sorted(self.records),
        }

    def text(self) -> str:
        """The cell for a reader: ``1.05x (8 rounds, 2 pairs)``."""
        rounds, pairs = sum(map(len, self.rounds)), len(self.rounds)
        return f"{ratio_text(self.ratio)} ({rounds}/{pairs})"


type Table = dict[Column, dict[Change, Cell]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``README.md`` and ``knobs.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reports", type=Path, default=REPOSITORY / "reports")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "reports/knobs-by-machine")
    given = parser.parse_args(arguments)
    folders = sorted({path.parent for path in given.reports.rglob("records-*.jsonl")})
    root = given.reports.parent
    table = table_of({str(path.relative_to(root)): read_records(path) for path in folders})
    write_whole(given.out / "knobs.json", json.dumps(table_data(table), indent=1) + "\n", "table")
    write_whole(given.out / "README.md", markdown(table), "table")


def table_of(studies: Mapping[str, Sequence[Record]]) -> Table:
    """What each change won, by workload and CPU.

    Parameters
    ----------
    studies
        Folder -> its records.
    """
    table: Table = defaultdict(lambda: defaultdict(Cell))
    for folder, records in studies.items():
        groups: dict[tuple[Column, str], list[Record]] = defaultdict(list)
        for record in measured_at_own_fidelity(records):
            if record.steady:
                groups[_column(record), record.workload.digest].append(record)
        for (column, _), group in groups.items():
            _add(table[column], group, folder)
    return {column: dict(cells) for column, cells in sorted(table.items()) if cells}


def _column(record: Record) -> Column:
    workload, machine = record.workload, record.machine
    return Column(
        workload.model,
        workload.size,
        workload.depth,
        cpu_text(machine),
        tuple(machine.instruction_sets),
    )


def _add(cells: dict[Change, Cell], records: Iterable[Record], folder: str) -> None:
    """Add the comparisons between the configurations of a workload to the cells of its column."""
    listed = list(records)
    evidence = Evidence.of_records(listed)
    settings = {
        record.configuration.digest: tuple(sorted(record.configuration.settings.items()))
        for record in listed
    }
    for base, other in itertools.permutations(settings, 2):
        change = change_between(settings[base], settings[other])
        rounds = [] if change is None else evidence.screened(base, other)
        if change is None or not rounds:
            continue
        cell = cells[change]
        cell.rounds += rounds
        cell.confirmed += evidence.confirmed(base, other)
        cell.records.add(folder)


def change_between(base: Settings, other: Settings) -> Change | None:
    """What ``other`` sets in addition to ``base``, or instead of one value of it.

    Parameters
    ----------
    base, other
        Pairs of knob and value, sorted by knob.

    Returns
    -------
    Change or None
        None if the configurations differ in another way, or if the exchanged values are in
        descending order.
    """
    before, after = dict(base), dict(other)
    added = tuple((name, value) for name, value in other if before.get(name) != value)
    if not before.keys() <= after.keys():
        return None
    replaced = [(before[name], value) for name, value in added if name in before]
    if not replaced:
        return Change(added)
    former, value = replaced[0]
    # An exchange has two directions, of which one is listed.
    return Change(added, former) if len(added) == 1 and former < value else None


def table_data(table: Table) -> list[dict[str, Any]]:
    """The table as plain data: a column per workload and CPU."""
    return [
        {
            "model": column.model,
            "size": column.size,
            "depth": column.depth,
            "cpu": column.cpu,
            "instruction_sets": list(column.instruction_sets),
            "changes": [
                {"settings": dict(change.settings), "instead_of": change.instead_of or None}
                | cell.data()
                for change, cell in sorted(cells.items())
            ],
        }
        for column, cells in table.items()
    ]


def markdown(table: Table) -> str:
    """The table for a reader: a section per model, with single values and then combinations."""
    lines = [INTRODUCTION]
    for model in dict.fromkeys(column.model for column in table):
        columns = [column for column in table if column.model == model]
        lines += ["", f"## {model}", "", *_rows(table, columns, combined=False)]
        lines += ["", "Several values together:", "", *_rows(table, columns, combined=True)]
    sets = {column.cpu: ", ".join(column.instruction_sets) for column in table}
    lines += ["", "## CPUs", "", *(f"- {cpu}: {names}" for cpu, names in sorted(sets.items()))]
    return "\n".join(lines) + "\n"


def _rows(table: Table, columns: Sequence[Column], *, combined: bool) -> list[str]:
    changes = sorted(
        {
            change
            for column in columns
            for change in table[column]
            if (len(change.settings) > 1) == combined
        }
    )
    head = ["value", *(column.title for column in columns)]
    lines = [_row(head), _row(["---"] * len(head))]
    for change in changes:
        found = (table[column].get(change) for column in columns)
        lines.append(_row([f"`{change.label}`", *("" if c is None else c.text() for c in found)]))
    return lines


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

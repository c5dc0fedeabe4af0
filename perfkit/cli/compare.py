"""``perfkit compare``: what changed between two folders of records or two asv results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from perfkit.cli.console import Console, cell
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.history.asv_results import (
    DEFAULT_RESULTS,
    AsvResult,
    read_result,
    results_of_commit,
)
from perfkit.history.comparison import (
    FACTOR,
    REGRESSIONS,
    Comparison,
    Row,
    Verdict,
    compare_snapshots,
)
from perfkit.history.record_snapshot import snapshot_of_records
from perfkit.history.snapshot import Entry, Snapshot
from perfkit.records.store import PATTERN
from perfkit.units import ratio_text, value_text

LOUD = {
    Verdict.ANSWER_CHANGED: "ANSWER CHANGED",
    Verdict.FAILED: "FAILED",
    Verdict.WORSE: "WORSE",
}

QUIET = (Verdict.SAME, Verdict.ADDED, Verdict.GONE)

STYLES = dict.fromkeys(REGRESSIONS, "bold red") | {
    Verdict.ANSWER_CLOSER: "bold yellow",
    Verdict.BETTER: "green",
    Verdict.MENDED: "green",
}


def main(arguments: list[str]) -> int:
    """Compare and print; 1 when something regressed, else 0."""
    parser = Parser(
        prog="perfkit compare",
        description="What changed between two folders of records, or two results of asv. Exit "
        "code 1 when something is slower, larger, failed, or gives another answer.",
    )
    what = "folder of records, result file of asv, or commit with results of asv"
    parser.add_argument("old", help=what)
    parser.add_argument("new", help="what to hold against it: the same kind of thing")
    parser.add_argument(
        "--factor",
        type=float,
        default=FACTOR,
        help=f"smallest change of time or memory to report (default {FACTOR})",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=DEFAULT_RESULTS,
        help=f"asv's results folder, for commits (default {DEFAULT_RESULTS})",
    )
    parser.add_argument("--machine", help="only results of this machine, by asv's name of it")
    parser.add_argument("--all", action="store_true", help="also list what has not changed")
    given = parser.parse_args(arguments)
    if given.factor < 1:
        raise UserError(f"--factor takes 1 or more, not {given.factor:g}")
    console = Console()
    pairs = _pairs(given.old, given.new, given.results, given.machine)
    comparisons = [compare_snapshots(old, new, given.factor) for old, new in pairs]
    for comparison in comparisons:
        _print(console, comparison, given.all)
    return int(any(comparison.regressed for comparison in comparisons))


def _pairs(
    old: str, new: str, results: Path, machine: str | None
) -> list[tuple[Snapshot, Snapshot]]:
    folders = [Path(text).is_dir() and any(Path(text).glob(PATTERN)) for text in (old, new)]
    if all(folders):
        return [(snapshot_of_records(Path(old)), snapshot_of_records(Path(new)))]
    if any(folders):
        raise UserError("records and asv results do not compare: give two of the same kind")
    before, after = (_asv_results(text, results, machine) for text in (old, new))
    same = [
        (one.snapshot, other.snapshot)
        for one in before
        for other in after
        if (one.machine, one.environment) == (other.machine, other.environment)
    ]
    if same:
        return same
    if len(before) == len(after) == 1:
        return [(before[0].snapshot, after[0].snapshot)]
    raise UserError(
        f"{old} was measured on {_places(before)}, {new} on {_places(after)}: name one result "
        "file of each to compare across them"
    )


def _asv_results(text: str, results: Path, machine: str | None) -> Sequence[AsvResult]:
    path = Path(text)
    if path.is_dir():
        raise UserError(f"{path} holds no records; of asv results, name a commit or a result file")
    found = [read_result(path)] if path.is_file() else results_of_commit(results, text)
    kept = [one for one in found if machine in (None, one.machine)]
    if not kept:
        raise UserError(f"{text} has no results of machine {machine!r}, but of {_places(found)}")
    return kept


def _places(results: Sequence[AsvResult]) -> str:
    return ", ".join(dict.fromkeys(f"{one.machine} ({one.environment})" for one in results))


def _print(console: Console, comparison: Comparison, everything: bool) -> None:
    old, new = comparison.old, comparison.new
    console.line(f"{old.label} -> {new.label} ({new.setting.get('machine', 'this machine')})")
    for difference in comparison.differences:
        console.line(f"warning: not the same setting, {difference}")
    common = [row for row in comparison.rows if row.old is not None and row.new is not None]
    if not common:
        raise UserError(f"{old.label} and {new.label} have no measurement in common")
    table = Table("measurement", "old", "new", "new / old", "verdict")
    rows = [row for row in comparison.rows if everything or row.verdict not in QUIET]
    for row in rows:
        verdict = LOUD.get(row.verdict, str(row.verdict))
        cells = (row.name, _value(row.old), _value(row.new), _ratio(row), verdict)
        table.add_row(*map(cell, cells), style=STYLES.get(row.verdict))
    if rows:
        console.rich.print(table)
    for row in comparison.having(Verdict.FAILED):
        console.line(f"{row.name} failed: {row.entry.reason}")
    console.line(f"{len(common)} measurements compared: {comparison.sentence()}")


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else ratio_text(row.ratio)


def _value(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.value is None:
        return "failed"
    if not entry.measured:
        return "skipped"
    return value_text(entry.value, entry.unit)

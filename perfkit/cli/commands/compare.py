"""``perfkit compare``: what changed between two folders of records or two asv results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from perfkit.cli.console import Console, cell
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.history.asv_results import (
    DEFAULT_RESULTS,
    AsvReading,
    AsvResult,
    read_result,
    results_of_commit,
)
from perfkit.history.comparison import Comparison, Row, compare_snapshots
from perfkit.history.record_snapshot import snapshots_of_records
from perfkit.history.snapshot import Entry, Snapshot
from perfkit.history.verdicts import FACTOR, REGRESSIONS, Verdict
from perfkit.records.store import PATTERN, read_folder
from perfkit.units import ratio_text, value_text

LOUD = {verdict: verdict.value.upper() for verdict in REGRESSIONS}

QUIET = (Verdict.SAME, Verdict.ADDED, Verdict.GONE)

STYLES = dict.fromkeys(REGRESSIONS, "bold red") | {
    Verdict.ANSWER_CLOSER: "bold yellow",
    Verdict.BETTER: "green",
    Verdict.FOUND: "green",
    Verdict.FIXED: "green",
}

LISTED = 12
"""Lines on what only one side has; with more, ``--all`` lists the rest."""

EXIT_CODES = """\
exit codes:
  0  nothing that both sides have got worse
  1  something is slower, larger, lost or failed, or gives another answer
  2  the two cannot be compared: they have nothing in common, or cannot be read

Only like is compared with like: the same role, workload, fidelity, configuration, guard and CPUs.
What has no counterpart is listed as added or removed. Times and memory of different kinds of
machines are shown and not judged."""


def main(arguments: list[str]) -> int:
    """Compare and print; 1 when something regressed, else 0."""
    given = _parser().parse_args(arguments)
    if not given.factor >= 1:
        raise UserError(f"--factor takes 1 or more, not {given.factor:g}")
    console = Console()
    pairs, warnings = _pairs(given.old, given.new, given.results, given.machine)
    for warning in dict.fromkeys(warnings):
        console.line(f"warning: {warning}")
    comparisons = [compare_snapshots(old, new, given.factor) for old, new in pairs]
    for comparison in comparisons:
        _print(console, comparison, given.all)
    return int(any(comparison.regressed for comparison in comparisons))


def _parser() -> Parser:
    parser = Parser(
        prog="perfkit compare",
        description="What changed between two folders of records, or two results of asv.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "folder of records, result file of asv, or commit with results of asv"
    parser.add_argument("old", help=what)
    parser.add_argument("new", help="what to compare it with: the same kind of thing")
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
    return parser


def _pairs(
    old: str, new: str, results: Path, machine: str | None
) -> tuple[list[tuple[Snapshot, Snapshot]], list[str]]:
    """What is to be compared, and a sentence for each thing that could not be read."""
    folders = [_holds_records(text) for text in (old, new)]
    for text, holds in zip((old, new), folders, strict=True):
        if not holds and Path(text).is_dir():
            raise UserError(
                f"{text} holds no records; of asv results, name a commit or a result file"
            )
    if all(folders):
        first, second = (read_folder(Path(text)) for text in (old, new))
        warnings = [
            f"{text}: {one.sentence()}"
            for text, reading in ((old, first), (new, second))
            for one in reading.skipped
        ]
        return [snapshots_of_records((old, first), (new, second))], warnings
    if any(folders):
        raise UserError("records and asv results do not compare: give two of the same kind")
    readings = [_asv_reading(text, results) for text in (old, new)]
    warnings = [sentence for reading in readings for sentence in reading.skipped]
    before, after = (
        _of_machine(text, reading.results, machine)
        for text, reading in zip((old, new), readings, strict=True)
    )
    same = [
        (one.snapshot, other.snapshot)
        for one in before
        for other in after
        if (one.machine, one.environment) == (other.machine, other.environment)
    ]
    if same:
        return same, warnings
    if len(before) == len(after) == 1:
        return [(before[0].snapshot, after[0].snapshot)], warnings
    raise UserError(
        f"{old} was measured on {_places(before)}, {new} on {_places(after)}: name one result "
        "file of each to compare across them"
    )


def _holds_records(text: str) -> bool:
    try:
        return Path(text).is_dir() and any(Path(text).glob(PATTERN))
    except (OSError, ValueError) as error:
        raise UserError(f"{text!r} cannot be looked into ({error})") from error


def _asv_reading(text: str, results: Path) -> AsvReading:
    path = Path(text)
    return read_result(path) if path.is_file() else results_of_commit(results, text)


def _of_machine(text: str, found: Sequence[AsvResult], machine: str | None) -> Sequence[AsvResult]:
    kept = [one for one in found if machine in (None, one.machine)]
    if not kept:
        raise UserError(f"{text} has no results of machine {machine!r}, but of {_places(found)}")
    return kept


def _places(results: Sequence[AsvResult]) -> str:
    return ", ".join(dict.fromkeys(f"{one.machine} ({one.environment})" for one in results))


def _print(console: Console, comparison: Comparison, everything: bool) -> None:
    old, new = comparison.old, comparison.new
    console.line(f"{old.label} -> {new.label} ({new.metadata.get('machine', 'this machine')})")
    for difference in comparison.differences:
        console.line(f"warning: not the same setting, {difference}")
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
    for verdict, label in ((Verdict.GONE, old.label), (Verdict.ADDED, new.label)):
        _list_single(console, comparison, verdict, f"only in {label}")
    common = comparison.common
    if not common:
        raise UserError(f"{old.label} and {new.label} have no measurement in common")
    count = f"{len(common)} measurement{'s' if len(common) != 1 else ''}"
    console.line(f"{count} compared: {comparison.sentence()}")


def _list_single(console: Console, comparison: Comparison, verdict: Verdict, where: str) -> None:
    """What has no counterpart, a line a subject."""
    single = comparison.without_counterpart(verdict)
    for name, count in list(single.items())[:LISTED]:
        console.line(f"{verdict} ({where}): {name}, {count} measurement{'s' if count > 1 else ''}")
    if len(single) > LISTED:
        console.line(f"{verdict} ({where}): {len(single) - LISTED} more; --all lists them")


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else ratio_text(row.ratio)


def _value(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.display:
        return entry.display
    if entry.value is None:
        return "failed"
    if not entry.measured:
        return "no number"
    return value_text(entry.value, entry.unit)

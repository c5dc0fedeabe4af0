"""``perfkit compare``: changes between two folders of records, asv results or jaxlib versions."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from perfkit.api.comparing import compare, write_compare_page
from perfkit.cli.console import Console, cell
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.history.asv_results import DEFAULT_RESULTS
from perfkit.history.comparison import Comparison, Row
from perfkit.history.snapshot import Entry
from perfkit.history.verdicts import FACTOR, QUIET, REGRESSIONS, Verdict
from perfkit.units import ratio_text

LOUD = {verdict: verdict.value.upper() for verdict in REGRESSIONS}

STYLES = dict.fromkeys(REGRESSIONS, "bold red") | {
    Verdict.ANSWER_CLOSER: "bold yellow",
    Verdict.BETTER: "green",
    Verdict.FOUND: "green",
    Verdict.FIXED: "green",
}

LISTED = 12
"""Most lines on measurements that only one side has; ``--all`` lists all of them."""

JAXLIB_OPTION = "--jaxlib"
"""Option that measures a model instead of reading what was measured before."""

EXIT_CODES = """\
exit codes:
  0  no measurement got worse
  1  a measurement is slower, larger, lost or failed, or gives another answer
  2  the two cannot be compared: they have nothing in common, or cannot be read

Only measurements with the same role, workload, fidelity, configuration, guard and CPUs are
compared. Measurements without a counterpart are listed as added or removed. Times and memory of
different kinds of machines are shown, but not judged.

'perfkit compare --jaxlib OLD NEW --model M' measures a model under two versions of jaxlib instead;
'perfkit compare --jaxlib --help' describes it."""


def main(arguments: list[str]) -> int:
    """Compare and print; 1 when something regressed, else 0."""
    if any(word.partition("=")[0] == JAXLIB_OPTION for word in arguments):
        # What measures takes longer to import than what only reads.
        from perfkit.cli.commands.compare.jaxlib import show_upgrade

        return show_upgrade(arguments)
    given = _parser().parse_args(arguments)
    if given.structures:
        from perfkit.cli.commands.compare import structures

        return structures.main(Path(given.old), Path(given.new), as_json=given.json)
    result = compare(
        given.old, given.new, factor=given.factor, results=given.results, machine=given.machine
    )
    console = Console(to_stderr=given.json)
    for warning in result.skipped:
        console.line(f"warning: {warning}")
    # The page shows next to each other what has no measurement in common, such as two presets.
    comparable = given.html is not None and write_compare_page(
        result, given.old, given.new, given.html
    )
    for comparison in result.comparisons:
        _print(console, comparison, given.all, comparable=comparable)
    if given.html is not None:
        console.line(f"page: {given.html}")
    if given.json:
        print_json([_data(comparison) for comparison in result.comparisons])
    return int(result.regressed)


def _parser() -> Parser:
    parser = Parser(
        prog="perfkit compare",
        description="Show what changed between two folders of records, or two results of asv.",
        epilog=EXIT_CODES,
    )
    kinds = "folder of records, result file of asv, or commit with results of asv"
    parser.add_argument("old", help=f"baseline: {kinds}")
    parser.add_argument("new", help="candidate: the same kind as the baseline")
    parser.add_argument(
        "--structures",
        action="store_true",
        help="compare two folders of predicted structures instead, by their distributions over "
        "random seeds (at least 7): the measure of sameness at full fidelity",
    )
    parser.add_argument(
        "--factor",
        type=float,
        default=FACTOR,
        help=f"smallest ratio of times or memory to report (default {FACTOR})",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=DEFAULT_RESULTS,
        help=f"asv's results folder, for commits (default {DEFAULT_RESULTS})",
    )
    parser.add_argument("--machine", help="name that asv gave a machine: compare only its results")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write a page, which shows two folders of records next to each other even if no "
        "configuration is in both: two presets, or two machines",
    )
    parser.add_argument("--all", action="store_true", help="also list unchanged measurements")
    add_json_argument(parser)
    return parser


def _print(console: Console, comparison: Comparison, everything: bool, *, comparable: bool) -> None:
    old, new = comparison.old, comparison.new
    console.line(f"{old.label} -> {new.label} ({new.metadata.get('machine', 'this machine')})")
    for difference in comparison.differences:
        console.line(f"warning: not the same setting, {difference}")
    table = Table("measurement", "old", "new", "new / old", "verdict")
    rows = [row for row in comparison.rows if everything or row.verdict not in QUIET]
    for row in rows:
        verdict = LOUD.get(row.verdict, str(row.verdict))
        cells = (row.name, _text(row.old), _text(row.new), _ratio(row), verdict)
        table.add_row(*map(cell, cells), style=STYLES.get(row.verdict))
    if rows:
        console.rich.print(table)
    for row in comparison.having(Verdict.FAILED):
        console.line(f"{row.name} failed: {row.entry.reason}")
    for verdict, label in ((Verdict.GONE, old.label), (Verdict.ADDED, new.label)):
        _list_single(console, comparison, verdict, f"only in {label}")
    common = comparison.common
    if not common and comparable:
        console.line(f"{old.label} and {new.label} have no configuration in common: see the page")
        return
    if not common:
        raise UserError(f"{old.label} and {new.label} have no measurement in common")
    count = f"{len(common)} measurement{'s' if len(common) != 1 else ''}"
    console.line(f"{count} compared: {comparison.sentence()}")


def _data(comparison: Comparison) -> dict[str, object]:
    """A comparison with all its rows, for JSON."""
    return {
        "old": comparison.old.label,
        "new": comparison.new.label,
        "sentence": comparison.sentence(),
        "differences": comparison.differences,
        "rows": [
            {
                "name": row.name,
                "kind": row.entry.kind,
                "unit": row.entry.unit,
                "old": None if row.old is None else row.old.value,
                "new": None if row.new is None else row.new.value,
                "ratio": row.ratio,
                "verdict": row.verdict,
                "reason": row.entry.reason,
            }
            for row in comparison.rows
        ],
    }


def _list_single(console: Console, comparison: Comparison, verdict: Verdict, where: str) -> None:
    """Print the measurements without a counterpart, one line per subject."""
    single = comparison.without_counterpart(verdict)
    for name, count in list(single.items())[:LISTED]:
        console.line(f"{verdict} ({where}): {name}, {count} measurement{'s' if count > 1 else ''}")
    if len(single) > LISTED:
        console.line(f"{verdict} ({where}): {len(single) - LISTED} more; --all lists them")


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else ratio_text(row.ratio)


def _text(entry: Entry | None) -> str:
    return "" if entry is None else entry.text

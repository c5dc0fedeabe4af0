"""``perfkit compare --jaxlib OLD NEW``: what an upgrade of jaxlib changes for a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.api.upgrading import PAIRS, UpgradeResult, compare_jaxlib
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    knobs_of,
    parse_command_line,
)
from perfkit.errors import UserError
from perfkit.history.verdicts import FACTOR, REGRESSIONS, Verdict
from perfkit.stats.exact import LOOKS
from perfkit.units import count_text, distance_text, ratio_text, seconds_text, value_text
from perfkit.upgrade.comparison import AnswerChange, OperationChange, Row
from perfkit.upgrade.locate.finding import ChangedAnswer, Located, SlowedModule

HELP = ("-h", "--help")


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    upgrade = parser.add_argument_group("the two versions")
    upgrade.add_argument(
        "--jaxlib",
        nargs=2,
        required=True,
        metavar=("OLD", "NEW"),
        help="versions of jaxlib, or paths of the Pythons of two environments",
    )
    upgrade.add_argument(
        "--reproduce",
        type=Path,
        metavar="DIR",
        help="new folder for programs that show a changed answer or a slowed operation with JAX "
        "and NumPy alone",
    )
    upgrade.add_argument(
        "--pairs",
        type=int,
        default=PAIRS,
        help=f"pairs of processes, one of each version (default {PAIRS}, the least for intervals)",
    )
    upgrade.add_argument(
        "--passes", type=int, default=3, help="timed passes of each process (default 3)"
    )
    upgrade.add_argument(
        "--factor",
        type=float,
        default=FACTOR,
        help=f"smallest ratio of times or memory to report (default {FACTOR})",
    )
    upgrade.add_argument("--out", type=Path, help="folder for the records")


def show_upgrade(arguments: Sequence[str]) -> int:
    """Measure, compare and print; 1 when the new version is worse in anything, else 0.

    Parameters
    ----------
    arguments
        What follows ``perfkit compare``.
    """
    # argparse would take --help for one of the two versions.
    words = ["--help"] if any(word in HELP for word in arguments) else arguments
    given = parse_command_line(
        "compare",
        "Measure a model under two versions of jaxlib, in new processes and in turns, and show "
        "what differs: time, memory and answers, by module and operation. Exit code 1 if anything "
        "is worse under the new version.",
        words,
        _add,
    )
    own = given.arguments
    console = Console()
    old, new = own.jaxlib
    result = compare_jaxlib(
        old,
        new,
        **given.subject,
        knobs=knobs_of(own),
        preset=own.preset,
        pairs=own.pairs,
        passes=own.passes,
        factor=own.factor,
        reproduce=own.reproduce,
        out=own.out,
        progress=console,
    )
    _show(console, result)
    if result.interrupted:
        raise KeyboardInterrupt
    return int(result.regressed)


def _show(console: Console, result: UpgradeResult) -> None:
    comparison = result.comparison
    console.line(f"{result.old.label} -> {result.new.label}")
    headers = ("measurement", result.old.label, result.new.label, "new / old", "verdict")
    if comparison.rows:
        console.table(headers, map(_cells, comparison.rows))
        if result.pairs < LOOKS[0]:
            console.line(
                f"{count_text(result.pairs, 'pair')} of processes give no intervals, and without "
                f"them no verdict on times: --pairs {LOOKS[0]} does"
            )
    for failure in comparison.failures:
        console.line(failure)
    if comparison.answers is not None:
        _show_answers(console, comparison.answers)
    if comparison.modules:
        console.table(("module", *headers[1:]), map(_cells, comparison.modules))
    for change in comparison.operations:
        for line in operation_lines(change):
            console.line(line)
    if result.located is not None:
        for line in located_lines(result.located):
            console.line(line)
    if not comparison.rows and not comparison.failures and not result.interrupted:
        raise UserError(f"{result.folder} holds no pair of trials to compare")
    console.line(f"records: {result.folder}")


def _show_answers(console: Console, answers: AnswerChange) -> None:
    rows = []
    for quantity in answers.agreement.quantities:
        repeated = answers.repeated.get(quantity.name)
        rows.append(
            (
                quantity.name,
                quantity.reached.label,
                quantity.reason or distance_text(quantity.distance),
                "" if repeated is None else distance_text(repeated),
                _verdict(answers.verdict(quantity)),
            )
        )
    title = f"answers of the same input, which may differ in class {answers.declared.label}"
    console.table(
        ("quantity", "class", "distance new to old", "distance of two equal runs", "verdict"),
        rows,
        title,
    )


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else ratio_text(row.ratio)
    values = (value_text(row.old, row.unit), value_text(row.new, row.unit))
    return (row.name, *values, ratio, _verdict(row.verdict))


def _verdict(verdict: Verdict) -> str:
    return verdict.value.upper() if verdict in REGRESSIONS else verdict.value


def operation_lines(change: OperationChange) -> list[str]:
    """The change of an operation's time in lines for a person."""
    old, new = (", ".join(hlo) or "nothing" for hlo in (change.old_hlo, change.new_hlo))
    times = f"{seconds_text(change.old_s)} -> {seconds_text(change.new_s)}"
    return [
        f"{change.module}: {change.op_name or 'operations without a path'}: {times}",
        f"  optimised HLO before: {old}",
        f"  optimised HLO now:    {new}",
    ]


def located_lines(located: Located) -> list[str]:
    """The result of a search in lines for a person."""
    found: list[ChangedAnswer | SlowedModule] = [*located.slowed]
    if located.answer is not None:
        found.insert(0, located.answer)
    lines = []
    for each in found:
        lines += each.sentences()
        if each.operations:
            lines.append(f"  optimised HLO before: {', '.join(each.old_hlo) or 'none'}")
            lines.append(f"  optimised HLO now:    {', '.join(each.new_hlo) or 'none'}")
    lines += [f"note: {note}" for note in located.notes]
    lines += [
        f"to reproduce it with JAX and NumPy alone: python {folder}/reproduce.py"
        for folder in located.reproducers
    ]
    return lines

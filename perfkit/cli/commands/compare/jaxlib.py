"""``perfkit compare --jaxlib OLD NEW``: what an upgrade of jaxlib changes for a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.api.versions.upgrading import PAIRS, UpgradeResult, compare_jaxlib
from perfkit.cli.commands.compare.compare import JAXLIB_OPTION
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    knobs_of,
    parse_command_line,
)
from perfkit.errors import UserError
from perfkit.history.verdicts import FACTOR
from perfkit.stats.exact import LOOKS
from perfkit.units import count_text
from perfkit.upgrade.answers import ANSWER_HEADERS

HELP = ("-h", "--help")


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    upgrade = parser.add_argument_group("the two versions")
    upgrade.add_argument(
        JAXLIB_OPTION,
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
    add_json_argument(parser)


def show_upgrade(arguments: Sequence[str]) -> int:
    """Measure, compare and print; 1 when the new version is worse in anything, else 0.

    Parameters
    ----------
    arguments
        What follows ``perfkit compare``.
    """
    # argparse would take --help for one of the two versions.
    asks_help = any(word in HELP for word in arguments)
    words = [word for word in arguments if not (asks_help and word == JAXLIB_OPTION)]
    given = parse_command_line(
        "compare",
        "Measure a model under two versions of jaxlib, in new processes and in turns, and show "
        "what differs: time, memory and answers, by module and operation. Exit code 1 if anything "
        "is worse under the new version.",
        words,
        _add,
    )
    own = given.arguments
    console = Console(to_stderr=own.json)
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
    if own.json:
        print_json(
            {
                "old": result.old.label,
                "new": result.new.label,
                "comparison": result.comparison,
                "located": () if result.located is None else result.located.sentences(),
                "pairs": result.pairs,
                "folder": result.folder,
            }
        )
    if result.interrupted:
        raise KeyboardInterrupt
    return int(result.regressed)


def _show(console: Console, result: UpgradeResult) -> None:
    comparison = result.comparison
    console.line(f"{result.old.label} -> {result.new.label}")
    headers = (result.old.label, result.new.label, "new / old", "verdict")
    if comparison.rows:
        console.table(("measurement", *headers), (row.cells for row in comparison.rows))
        if result.pairs < LOOKS[0]:
            console.line(
                f"{count_text(result.pairs, 'pair')} of processes give no intervals, and without "
                f"them no verdict on times: --pairs {LOOKS[0]} does"
            )
    for failure in comparison.failures:
        console.line(failure)
    if comparison.answers is not None:
        declared = comparison.answers.declared.label
        title = f"answers of the same input, which may differ in class {declared}"
        console.table(ANSWER_HEADERS, comparison.answers.rows, title)
    if comparison.modules:
        console.table(("module", *headers), (row.cells for row in comparison.modules))
    sentences = [sentence for change in comparison.operations for sentence in change.sentences()]
    if result.located is not None:
        sentences += result.located.sentences()
    for sentence in sentences:
        console.line(sentence)
    if not comparison.rows and not comparison.failures and not result.interrupted:
        raise UserError(f"{result.folder} holds no pair of trials to compare")
    console.line(f"records: {result.folder}")

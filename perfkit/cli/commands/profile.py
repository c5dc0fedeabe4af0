"""``perfkit profile``: where time and memory of a prediction go, and what limits it."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.running import profile
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    add_observe_argument,
    knobs_of,
    observers_of,
    parse_command_line,
)
from perfkit.observers.registry import OBSERVERS
from perfkit.report.profile.summary import profile_summary
from perfkit.report.profile.tables import terminal_tables


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    add_observe_argument(parser, default=tuple(OBSERVERS))
    parser.add_argument("--out", type=Path, help="folder for record, observers' files and page")
    parser.add_argument(
        "--passes", type=int, default=1, help="timed passes after the first (default 1)"
    )
    add_json_argument(parser)


def main(arguments: list[str]) -> int:
    """Profile one configuration; 0 when its outcome is ``ok``, else 1."""
    given = parse_command_line(
        "profile",
        "Run one timed trial, and further trials for the observers that would disturb it. Show "
        "where time and memory go, and what limits each module.",
        arguments,
        _add,
    )
    own = given.arguments
    console = Console(to_stderr=own.json)
    result = profile(
        **given.subject,
        knobs=knobs_of(own),
        preset=own.preset,
        observe=observers_of(own),
        passes=own.passes,
        out=own.out,
        progress=console,
    )
    console.record(result.record, result.folder)
    for table in terminal_tables(result.record):
        console.table(table.headers, table.rows, table.heading)
    for line in profile_summary(result.record):
        console.line(line)
    console.line(f"page: {result.page}")
    if own.json:
        print_json({"folder": result.folder, "page": result.page, "record": result.record})
    if result.interrupted:
        raise KeyboardInterrupt
    return 0 if result.ok else 1

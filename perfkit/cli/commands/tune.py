"""``perfkit tune``: from an input to a recommended configuration, a preset and a page."""

from __future__ import annotations

import shlex
from pathlib import Path

from perfkit.api.tuning import tune
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import (
    Parser,
    add_observe_argument,
    observers_of,
    parse_command_line,
)
from perfkit.tuning.run import DEFAULT_BUDGET


def _add(parser: Parser) -> None:
    parser.add_argument(
        "--budget",
        default=DEFAULT_BUDGET,
        help=f"wall time of the search, e.g. 2h (default {DEFAULT_BUDGET})",
    )
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for records, preset and page")
    parser.add_argument(
        "--no-extrapolation",
        action="store_true",
        help="do not measure the parts that give the time of a production prediction",
    )


def main(arguments: list[str]) -> int:
    """Tune and print the recommendation; 0 when there is one, else 1."""
    given = parse_command_line(
        "tune",
        "Find the fastest configuration that gives the same answer. Ctrl-C keeps "
        "all finished measurements; the same command resumes.",
        arguments,
        _add,
    )
    own = given.arguments
    console = Console()
    result = tune(
        **given.subject,
        budget=own.budget,
        extrapolate=not own.no_extrapolation,
        observe=observers_of(own),
        out=own.out,
        progress=console,
    )
    console.recommendation(result.recommendation, result.extrapolations)
    if result.preset is not None:
        command = f"perfkit exec --preset {shlex.quote(str(result.preset))} -- CMD"
        console.line(f"preset: {result.preset} (apply it: {command})")
    console.line(f"page: {result.page}")
    if result.interrupted:
        raise KeyboardInterrupt
    return 0 if result.preset is not None else 1

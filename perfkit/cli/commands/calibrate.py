"""``perfkit calibrate``: how fast this machine is, for plans made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfkit.api.calibrating import ROUNDS, calibrate_machine
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import (
    CommandLine,
    Parser,
    add_knob_argument,
    knobs_of,
    parse_command_line,
)


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument(
        "--fit",
        type=Path,
        help="calibrate for this file from 'perfkit plan fit': its model and configuration",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        help=f"timed passes of each trial (default {ROUNDS})",
    )
    parser.add_argument("--out", type=Path, help="folder for records and calibration.toml")
    add_json_argument(parser)


def main(arguments: list[str]) -> int:
    """Measure and print the rates of this machine; 0 when there is a calibration."""
    given = parse_command_line(
        "calibrate",
        "Measure how fast this machine is relative to the one that 'perfkit plan fit' ran on: "
        "matrix product, copy, and a small real trial, in less than four minutes on two CPUs. "
        "The same command resumes.",
        arguments,
        _add,
    )
    own = given.arguments
    console = Console(to_stderr=own.json)
    result = calibrate_machine(
        **_subject(given, arguments),
        fit=own.fit,
        rounds=own.rounds,
        knobs=knobs_of(own),
        preset=own.preset,
        out=own.out,
        progress=console,
    )
    if result.dropped:
        console.line(
            f"the earlier calibration of {', '.join(result.dropped)} was dropped: it was measured "
            "on another machine or with other packages"
        )
    for name, rate in result.calibration.ceilings.items():
        console.line(f"{name.replace('_', ' ')}: {rate:.3g}")
    for name, factor in result.factors.items():
        console.line(f"{name.replace('_', ' ')}: {factor:.2f} times the time of the fit's machine")
    console.line(result.accuracy)
    console.line(
        f"calibration: {result.path} (name it as 'calibration' of a machine in the inventory)"
    )
    if own.json:
        print_json(
            {
                "path": result.path,
                "calibration": result.calibration,
                "accuracy": result.accuracy,
                "factors": result.factors,
            }
        )
    return 0


def _subject(given: CommandLine, arguments: list[str]) -> dict[str, Any]:
    """The arguments on model and input; a fit names its model unless the user names one."""
    named = any(word.partition("=")[0] == "--model" for word in arguments)
    if given.arguments.fit is None or named:
        return given.subject
    return {**given.subject, "model": None}

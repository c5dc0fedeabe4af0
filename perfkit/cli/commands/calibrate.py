"""``perfkit calibrate``: how fast this machine is, for plans made elsewhere."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.fitting import calibrate_machine
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    knobs_of,
    parse_command_line,
)


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument(
        "--rounds", type=int, default=5, help="timed passes of each trial (default 5)"
    )
    parser.add_argument("--out", type=Path, help="folder for records and calibration.toml")
    add_json_argument(parser)


def main(arguments: list[str]) -> int:
    """Measure and print the rates of this machine; 0 when there is a calibration."""
    given = parse_command_line(
        "calibrate",
        "Measure how fast this machine is relative to the one that 'perfkit plan fit' ran on: "
        "matrix product, copy, and a small real trial. The same command resumes.",
        arguments,
        _add,
    )
    own = given.arguments
    console = Console(to_stderr=own.json)
    result = calibrate_machine(
        **given.subject,
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
    console.line(
        f"calibration: {result.path} (name it as 'calibration' of a machine in the inventory)"
    )
    if own.json:
        print_json({"path": result.path, "calibration": result.calibration})
    return 0

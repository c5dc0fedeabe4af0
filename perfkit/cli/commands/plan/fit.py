"""``perfkit plan fit``: measure a model at several sizes and fit the laws that planning uses."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfkit.api.fitting import FitResult, fit_model, fit_records
from perfkit.cli.commands.plan.output import print_fit
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.place_arguments import add_place_arguments, call_and_show, elsewhere_of
from perfkit.cli.workload_arguments import (
    CommandLine,
    Parser,
    add_knob_argument,
    knobs_of,
    parse_command_line,
)

SUMMARY = (
    "Measure a model's parts at several small sizes, fit the laws of time and memory that "
    "'perfkit plan' uses, and judge them on runs that the fit does not use. The same command "
    "resumes."
)


def main(arguments: list[str]) -> int:
    """Measure and fit, or fit existing records; 0 when there is a fit."""
    as_json = "--json" in arguments
    console = Console(to_stderr=as_json)
    if any(argument.partition("=")[0] == "--from" for argument in arguments):
        result = _fit_existing(arguments)
    else:
        given = parse_command_line("plan fit", SUMMARY, arguments, _add)
        where = elsewhere_of(given.arguments)
        if where is not None:
            return call_and_show("fit", _call(given), where, console)
        result = fit_model(**_call(given), progress=console)
    print_fit(console, result.fit)
    path = shlex.quote(str(result.path))
    console.line(f"fit: {result.path} (plan with it: perfkit plan --fit {path})")
    console.line(f"page: {result.page}")
    if as_json:
        print_json({"path": result.path, "page": result.page, "fit": result.fit})
    return 0


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument(
        "--from",
        metavar="FOLDER",
        help="fit the records of this folder instead of measuring; --configuration LABEL selects "
        "one of several configurations",
    )
    parser.add_argument("--sizes", help="sizes to fit in the model's unit, separated by commas")
    parser.add_argument(
        "--shallow-sizes",
        help="sizes whose times are predicted from the shallow network (default: the model's own, "
        "none with --sizes)",
    )
    parser.add_argument("--held-out", default="", help="sizes that only judge the fit")
    parser.add_argument("--compile-sizes", help="sizes that are only compiled, for their memory")
    parser.add_argument(
        "--cpus", default="1", help="CPU counts in addition to all CPUs (default 1)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="timed passes of each trial (default 5)"
    )
    parser.add_argument("--repeats", type=int, default=1, help="trials of each size (default 1)")
    parser.add_argument(
        "--budget",
        default="30m",
        help="time after which no more shallow sizes, CPU counts and instances are measured "
        "(default 30m)",
    )
    parser.add_argument("--out", type=Path, help="folder for records, fit and page")
    add_place_arguments(parser)
    add_json_argument(parser)


def _call(given: CommandLine) -> dict[str, Any]:
    """The arguments of :func:`fit_model`."""
    own = given.arguments
    return dict(
        **given.subject,
        sizes=own.sizes,
        shallow_sizes=own.shallow_sizes,
        held_out=own.held_out,
        compile_sizes=own.compile_sizes,
        cpus=own.cpus,
        rounds=own.rounds,
        repeats=own.repeats,
        budget=own.budget,
        knobs=knobs_of(own),
        preset=own.preset,
        out=own.out,
    )


def _fit_existing(arguments: Sequence[str]) -> FitResult:
    parser = Parser(prog="perfkit plan fit", description=SUMMARY)
    parser.add_argument(
        "--from", dest="folder", type=Path, required=True, help="folder of the records to fit"
    )
    parser.add_argument(
        "--configuration", help="label of the configuration to fit, if the folder holds several"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for fit and page (default: the folder of the records)"
    )
    add_json_argument(parser)
    given = parser.parse_args(list(arguments))
    return fit_records(given.folder, configuration=given.configuration, out=given.out)

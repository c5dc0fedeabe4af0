"""``perfkit sweep``: the full grid of sizes, CPU counts and knob values."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.reporting import export_results
from perfkit.api.studies.sweeping import sweep
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json, recommendation_data
from perfkit.cli.place_arguments import add_place_arguments, elsewhere_of
from perfkit.cli.report_arguments import add_output_arguments, outputs_of, show_outputs
from perfkit.cli.workload_arguments import (
    Parser,
    add_jaxlib_argument,
    add_observe_argument,
    knob_lists_of,
    observers_of,
    parse_command_line,
)


def _add(parser: Parser) -> None:
    parser.add_argument("--sizes", help="sizes to measure, e.g. 32,64,128 (default: the input)")
    parser.add_argument("--cpus", help="CPU counts, e.g. 1,2")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=V1,V2",
        help="values of a knob, each combined with all values of the others; repeatable",
    )
    parser.add_argument(
        "--configurations",
        type=Path,
        help="TOML file with [[configuration]] tables, instead of --cpus and --knob",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="timed passes of each trial (default 3)"
    )
    add_jaxlib_argument(parser, "each combination is measured under each of them, in turns")
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for records and page")
    add_output_arguments(parser)
    add_place_arguments(parser)
    add_json_argument(parser)


def main(arguments: list[str]) -> int:
    """Measure the grid and print it; 0 when every trial succeeded, else 1."""
    given = parse_command_line(
        "sweep",
        "Measure the full grid of sizes, CPU counts and knob values. The same command resumes.",
        arguments,
        _add,
    )
    own = given.arguments
    where = elsewhere_of(own)
    outputs = outputs_of(own, elsewhere=where is not None)
    browser = outputs.check()
    console = Console(to_stderr=own.json)
    result = sweep(
        **given.subject,
        sizes=own.sizes,
        cpus=own.cpus,
        knobs=knob_lists_of(own.knob),
        configurations=own.configurations,
        jaxlib=own.jaxlib,
        rounds=own.rounds,
        observe=observers_of(own),
        out=own.out,
        progress=console,
        elsewhere=where,
    )
    for title, ranking in result.rankings:
        console.line(title)
        console.recommendation(ranking, [])
    for comparison in result.jaxlibs:
        console.jaxlibs(comparison)
    if result.unfinished:
        console.line(result.unfinished)
    if result.page is not None:
        console.line(f"page: {result.page}")
        study = result.records[-1].study if result.records else None
        written = export_results(result.folder, study, result.page, outputs, browser)
        show_outputs(written, console)
    if own.json:
        rankings = [{"of": of, **recommendation_data(each)} for of, each in result.rankings]
        print_json(
            {
                "rankings": rankings,
                "jaxlibs": result.jaxlibs,
                "folder": result.folder,
                "page": result.page,
            }
        )
    if result.interrupted:
        raise KeyboardInterrupt
    return 0 if result.ok else 1

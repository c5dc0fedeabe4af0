"""``perfkit tune``: from an input to a recommended configuration, a preset and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.api.reporting import export_results
from perfkit.api.studies.tuning import tune
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json, recommendation_data
from perfkit.cli.place_arguments import add_place_arguments, call_and_show, elsewhere_of
from perfkit.cli.report_arguments import add_output_arguments, outputs_of, show_outputs
from perfkit.cli.workload_arguments import (
    Parser,
    add_jaxlib_argument,
    add_observe_argument,
    knob_lists_of,
    observers_of,
    parse_command_line,
)
from perfkit.tuning.choice.memory_exchange import DEFAULT_MEMORY_EXCHANGE
from perfkit.tuning.goals.constraints import AGREEMENTS
from perfkit.tuning.goals.goal import DEFAULT_OBJECTIVE
from perfkit.tuning.goals.objectives import DEFAULT_SLACK, OBJECTIVES
from perfkit.tuning.goals.prices import FORMS
from perfkit.tuning.preset import exec_command
from perfkit.tuning.search.registry import DEFAULT_STRATEGY, STRATEGIES
from perfkit.tuning.studies.run import DEFAULT_BUDGET


def _add(parser: Parser) -> None:
    parser.add_argument(
        "--budget",
        default=DEFAULT_BUDGET,
        help=f"wall time of the search, e.g. 2h (default {DEFAULT_BUDGET})",
    )
    _add_search_arguments(parser)
    add_jaxlib_argument(
        parser, "stock and the recommended configuration are measured under each of them, in turns"
    )
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for records, preset and page")
    parser.add_argument(
        "--no-extrapolation",
        action="store_true",
        help="do not measure the parts that give the time of a production prediction",
    )
    _add_goal(parser)
    add_output_arguments(parser)
    add_place_arguments(parser)
    add_json_argument(parser)


def _add_goal(parser: Parser) -> None:
    group = parser.add_argument_group("goal: what is recommended")
    group.add_argument(
        "--objective",
        default=DEFAULT_OBJECTIVE,
        help=f"{', '.join(OBJECTIVES)} (default {DEFAULT_OBJECTIVE}): shortest prediction, most "
        "predictions per hour on this machine, smallest memory, or cheapest prediction",
    )
    group.add_argument(
        "--slack",
        help=f"with memory: accepted loss of time (default {DEFAULT_SLACK:.0%}%)",
    )
    group.add_argument(
        "--memory-exchange",
        metavar="SHARE",
        help="with latency and throughput: share of time that a doubling of the memory has to save "
        f"(default {DEFAULT_MEMORY_EXCHANGE:.0%}%)",
    )
    group.add_argument("--price", help=f"with cost: price of an hour, {FORMS}")
    group.add_argument(
        "--agreement",
        metavar="CLASS",
        help=f"loosest agreement class that is searched and recommended: {', '.join(AGREEMENTS)}",
    )
    group.add_argument(
        "--no-preload", action="store_true", help="no allocator that needs LD_PRELOAD"
    )
    group.add_argument(
        "--pareto",
        action="store_true",
        help="also keep the front of time and memory, as preset-1.toml, preset-2.toml and so on",
    )


def _add_search_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("search: what is tried")
    group.add_argument(
        "--cold",
        action="store_true",
        help="do not start from known presets, see perfkit recommend",
    )
    group.add_argument(
        "--strategy",
        default=DEFAULT_STRATEGY,
        metavar="NAME",
        help=f"{', '.join(STRATEGIES)} (default {DEFAULT_STRATEGY})",
    )
    group.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=V1,V2",
        help="search only the knobs given like this; NAME alone searches its usual values; "
        "repeatable",
    )
    group.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="search only the knobs of a TOML table [knobs], NAME = [V1, V2]; --knob replaces "
        "its entries",
    )
    group.add_argument(
        "--widen",
        action="store_true",
        help="search the usual knobs too, in addition to those of --knob and --space",
    )


def main(arguments: list[str]) -> int:
    """Tune and print the recommendation; 0 when there is one, else 1."""
    given = parse_command_line(
        "tune",
        "Find the best configuration that gives the same answer. Ctrl-C keeps "
        "all finished measurements; the same command resumes.",
        arguments,
        _add,
    )
    own = given.arguments
    console = Console(to_stderr=own.json)
    chosen = dict(
        **given.subject,
        budget=own.budget,
        knobs=_searched(own.knob) or None,
        space=own.space,
        widen=own.widen,
        strategy=own.strategy,
        extrapolate=not own.no_extrapolation,
        observe=observers_of(own),
        objective=own.objective,
        slack=own.slack,
        memory_exchange=own.memory_exchange,
        price=own.price,
        agreement=own.agreement,
        preload=not own.no_preload,
        cold=own.cold,
        pareto=own.pareto,
        jaxlib=own.jaxlib,
        out=own.out,
    )
    where = elsewhere_of(own)
    outputs = outputs_of(own, elsewhere=where is not None)
    browser = outputs.check()
    if where is not None:
        return call_and_show("tune", chosen, where, console)
    result = tune(**chosen, progress=console)
    console.recommendation(result.recommendation, result.extrapolations)
    if result.jaxlibs is not None:
        console.jaxlibs(result.jaxlibs)
    if result.preset is not None:
        instances = result.recommendation.chosen_instances
        count = 1 if instances is None else instances.count
        others = f", and so on up to {count}/{count}" if count > 1 else ""
        command = f"{exec_command(result.preset, count)} CMD{others}"
        console.line(f"preset: {result.preset} (apply it: {command})")
    for path in result.front:
        console.line(f"preset on the front of time and memory: {path}")
    console.line(f"page: {result.page}")
    study = result.records[-1].study if result.records else None
    written = export_results(result.folder, study, result.page, outputs, browser)
    show_outputs(written, console)
    if own.json:
        print_json(
            {
                "recommendation": recommendation_data(result.recommendation),
                "production": result.extrapolations,
                "jaxlibs": result.jaxlibs,
                "unfinished": result.unfinished,
                "folder": result.folder,
                "preset": result.preset,
                "presets_of_front": result.front,
                "page": result.page,
            }
        )
    if result.interrupted:
        raise KeyboardInterrupt
    return 0 if result.preset is not None else 1


def _searched(texts: Sequence[str]) -> dict[str, str | None]:
    """Values by knob; None for a name that stands alone."""
    alone = {text.strip(): None for text in texts if "=" not in text}
    return alone | knob_lists_of([text for text in texts if "=" in text])

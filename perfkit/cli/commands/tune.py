"""``perfkit tune``: from an input to a recommended configuration, a preset and a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from perfkit.cli.console import Console, StudyProgress
from perfkit.cli.study_output import finish_study
from perfkit.cli.workload_arguments import (
    Parser,
    Request,
    add_observe_argument,
    default_folder,
    observers_of,
    parse_request,
)
from perfkit.knobs.configuration import STOCK
from perfkit.records.machine import available_memory_bytes
from perfkit.records.store import Store
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY
from perfkit.tune.live import LiveRunner
from perfkit.tune.search.coordinate_ascent import CoordinateAscent
from perfkit.tune.study import Study
from perfkit.tune.study_plan import StudyPlan
from perfkit.units import parse_duration

LEAST_LIMIT_S = 1800.0
"""Seconds that any single trial may work, however small the budget."""

DEFAULT_BUDGET = "17m"
"""Leaves five of the twenty minutes that a first `make tune` may take for the installation."""


def _add(parser: Parser) -> None:
    parser.add_argument(
        "--budget", default=DEFAULT_BUDGET, help=f"wall time, e.g. 2h (default {DEFAULT_BUDGET})"
    )
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for records, preset and page")
    parser.add_argument(
        "--no-extrapolation",
        action="store_true",
        help="do not measure the parts for the time of a production prediction",
    )


def main(arguments: list[str]) -> int:
    """Tune and print the recommendation; 0 when there is one, else 1."""
    request = parse_request(
        "tune",
        "Find the fastest configuration that gives the same answer. Ctrl-C at any moment keeps "
        "what was measured; the same command resumes.",
        arguments,
        _add,
    )
    budget_s = parse_duration(request.arguments.budget)
    limits = request.limits()
    if limits.time_s is None:
        # A trial that hangs must end some day; none of a study works longer than the study.
        limits = replace(limits, time_s=max(2 * budget_s, LEAST_LIMIT_S))
    observers = observers_of(request)
    refuse_large(request)
    out = request.arguments.out or default_folder("tune", request.model.name, request.workload.name)
    plan = StudyPlan(
        model=request.model,
        catalogue=request.catalogue,
        workload=request.workload,
        store=Store(out),
        budget_s=budget_s,
        memory_bytes=available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY,
        extrapolate=not request.arguments.no_extrapolation,
    )
    console = Console()
    console.workload(request.workload, request.model)
    with StudyProgress(console, budget_s=budget_s) as progress:
        runner = LiveRunner(out, limits, progress.stage, observers)
        study = Study(plan, CoordinateAscent(), runner, progress)
        interrupted = progress.watch(study.run)
    found = finish_study(console, plan.model, plan.workload, study.records(), out)
    if interrupted:
        raise KeyboardInterrupt
    return 0 if found else 1


def refuse_large(request: Request) -> None:
    """Refuse a workload that the reference and stock have no memory for.

    Raises
    ------
    UserError
        See :meth:`Request.refuse_without_memory`.
    """
    reference = request.catalogue.configuration(request.model.reference_values)
    for configuration in (STOCK, reference):
        request.refuse_without_memory(configuration, request.workload)

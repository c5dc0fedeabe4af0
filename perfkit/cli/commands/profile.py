"""``perfkit profile``: where time and memory of a prediction go, and what limits it."""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    add_observe_argument,
    configuration_of,
    default_folder,
    observers_of,
    parse_request,
)
from perfkit.errors import UserError
from perfkit.observers.registry import OBSERVERS, make_observers
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.report.profile_page import profile_page
from perfkit.report.profile_summary import profile_summary
from perfkit.report.writing import write_report
from perfkit.trial.launcher import run_trial
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialRequest

PAGE_NAME = "profile.html"


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    add_observe_argument(parser, default=tuple(OBSERVERS))
    parser.add_argument("--out", type=Path, help="folder for record, artifacts and page")
    parser.add_argument(
        "--passes", type=int, default=1, help="timed passes after the first (default 1)"
    )


def main(arguments: list[str]) -> int:
    """Profile one configuration; 0 when its outcome is ``ok``, else 1."""
    request = parse_request(
        "profile",
        "One timed trial, and further children that are looked at from inside: why it takes "
        "what it takes.",
        arguments,
        _add,
    )
    given = request.arguments
    if given.passes < 1:
        raise UserError(f"--passes takes 1 or more, not {given.passes}")
    configuration = configuration_of(request)
    observers = tuple(make_observers(observers_of(request)))
    limits = request.limits()
    request.refuse_without_memory(configuration, request.workload)
    out = given.out or default_folder("profile", request.model.name, request.workload.name)
    store = Store(out)
    console = Console()
    console.workload(request.workload, request.model)
    trial = ObservedTrial(
        TrialRequest(request.workload, configuration, out, limits, observers=observers)
    )
    with console.waiting(trial, configuration.label):
        record = run_trial(trial, given.passes)
    store.append(record)
    console.record(record, out)
    for line in profile_summary(record):
        console.line(line)
    page = out / PAGE_NAME
    write_report(page, profile_page(record, out))
    console.line(f"page: {page}")
    if record.outcome is Outcome.INTERRUPTED or trial.interrupted:
        raise KeyboardInterrupt
    return 0 if record.outcome is Outcome.OK else 1

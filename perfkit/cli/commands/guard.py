"""``perfkit guard``: is the answer stable, where does a bad value arise, what do fixes do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from perfkit.api.progress import record_line
from perfkit.api.subject import default_folder
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import (
    Parser,
    Request,
    add_knob_argument,
    configuration_of,
    parse_request,
)
from perfkit.errors import UserError
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.messages import GUARD_LIFT, GUARD_OFF, GUARD_ZERO
from perfkit.units import distance_text

if TYPE_CHECKING:
    from perfkit.diagnose.remedies import Remedy
    from perfkit.diagnose.stability import StabilityRow


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    action = parser.add_argument_group("what to do")
    action.add_argument(
        "--locate", action="store_true", help="say where the first NaN or infinity arises"
    )
    action.add_argument(
        "--record",
        metavar="ID",
        help="with --locate and --out: search the trial of this record, as it was run",
    )
    action.add_argument(
        "--remedies",
        action="store_true",
        help="show what jnp.maximum, jnp.where and the guard do to a sampler step",
    )
    action.add_argument(
        "--zero",
        action="store_true",
        help="the guard also returns zero for differences that are rounding in either direction",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the records: the stability report's, or --record's"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def main(arguments: list[str]) -> int:
    """Report stability, search a prediction or compare the fixes; 1 for a bad value, else 0."""
    request = parse_request(
        "guard",
        "Run the model under a matrix of compiler settings, guarded, and report for each what the "
        "guard did, whether the answer is finite and whether it agrees; or, with --locate, say "
        "where the first NaN or infinity arises; or, with --remedies, what the usual fixes do.",
        arguments,
        _add,
    )
    given = request.arguments
    if given.locate and given.remedies:
        raise UserError("--locate and --remedies exclude each other: give one of them")
    if given.record is not None and not (given.locate and given.out):
        raise UserError("--record goes with --locate and --out FOLDER, the folder of its records")
    if given.locate:
        return _locate(request)
    if given.remedies:
        return _remedies(as_json=given.json)
    return _stability(request)


def _stability(request: Request) -> int:
    from perfkit.diagnose.remedies import compare_remedies
    from perfkit.diagnose.stability import is_stable, precisions_of, stability_settings, verdict
    from perfkit.diagnose.stability_study import StabilityPlan, run_stability

    given, model = request.arguments, request.model
    precisions = precisions_of(model.knobs, model.reference_values)
    chosen = configuration_of(request).as_dict()
    settings = stability_settings(
        {name: {**chosen, **values} for name, values in precisions.items()}
    )
    for setting in settings:
        configuration = request.catalogue.configuration(dict(setting.knobs))
        request.refuse_without_memory(configuration, request.workload)
    out = given.out or default_folder("guard", model.name, request.workload.name)
    plan = StabilityPlan(
        model=model,
        catalogue=request.catalogue,
        workload=request.workload,
        settings=settings,
        store=Store(out),
        limits=request.limits(),
        guard=GUARD_ZERO if given.zero else GUARD_LIFT,
    )
    console = Console()
    if given.json:
        rows = run_stability(plan, lambda record: None)
        report = {
            "workload": request.workload.as_dict(),
            "settings": [row.as_dict() for row in rows],
            "verdict": verdict(rows),
            "remedies": [remedy.as_dict() for remedy in compare_remedies()],
        }
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        console.workload(request.workload, model)
        rows = run_stability(plan, lambda record: console.line(f"  {record_line(record)}"))
        _show_stability(console, rows)
        console.line(verdict(rows))
        for row in rows:
            if row.outcome == Outcome.NONFINITE:
                command = f"perfkit guard --locate --record {row.record} --out {out}"
                console.line(f"where it arose under {row.setting}: {command}")
        _show_remedies(console, compare_remedies())
    return 0 if all(map(is_stable, rows)) else 1


def _show_stability(console: Console, rows: Sequence[StabilityRow]) -> None:
    table = Table("setting", "outcome", "lifted", "zeroed", "not finite", "agreement", "distance")
    for row in rows:
        cells = (
            row.setting,
            row.outcome,
            row.lifted,
            row.zeroed,
            row.bad_elements,
            row.agreement,
            None if row.distance is None else distance_text(row.distance),
        )
        table.add_row(*("-" if cell is None else str(cell) for cell in cells))
    console.rich.print(table)


def _locate(request: Request) -> int:
    from perfkit.diagnose.locating import find_record, locate, locate_again

    given, console = request.arguments, Console()
    if given.record is not None:
        located = locate_again(find_record(given.out, given.record))
    else:
        configuration = configuration_of(request)
        request.refuse_without_memory(configuration, request.workload)
        if not given.json:
            console.workload(request.workload, request.model)
        located = locate(request.workload, configuration, GUARD_OFF)
    if given.json:
        json.dump(located.as_dict(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for sentence in located.sentences():
            console.line(sentence)
    return 0 if located.finding is None else 1


def _remedies(*, as_json: bool) -> int:
    from perfkit.diagnose.remedies import compare_remedies

    remedies = compare_remedies()
    if as_json:
        json.dump([remedy.as_dict() for remedy in remedies], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show_remedies(Console(), remedies)
    return 0


def _show_remedies(console: Console, remedies: Sequence[Remedy]) -> None:
    console.line("what fixes do to the sampler step that went wrong:")
    table = Table("fix", "levels NaN", "levels with noise too much", "hides -0.5", "hides NaN")
    for remedy in remedies:
        table.add_row(
            remedy.name,
            str(remedy.nan_levels),
            str(remedy.noisy_levels),
            "yes" if remedy.hides_errors else "no",
            "yes" if remedy.hides_nan else "no",
        )
    console.rich.print(table)

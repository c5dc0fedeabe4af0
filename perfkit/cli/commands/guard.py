"""``perfkit guard``: is the answer stable, where does a bad value arise, what do fixes do?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from perfkit.api.progress import record_line
from perfkit.api.subject import default_folder
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.cli.console import Console
from perfkit.cli.json_output import print_json
from perfkit.cli.workload_arguments import (
    Parser,
    Request,
    add_knob_argument,
    configuration_of,
    parse_request,
)
from perfkit.diagnose.locate.record import find_record, locate_in_record
from perfkit.diagnose.locate.workload import Locate, locate_in_workload
from perfkit.diagnose.stability.report import StabilityRow, is_stable, stability_as_dict, verdict
from perfkit.diagnose.stability.run import StabilityPlan, run_stability
from perfkit.diagnose.stability.settings import settings_of
from perfkit.errors import UserError
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.messages import GUARD_LIFT, GUARD_OFF, GUARD_ZERO
from perfkit.units import count_text, distance_text

if TYPE_CHECKING:
    from perfkit.diagnose.remedies import Remedy


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    action = parser.add_argument_group("what to do")
    action.add_argument(
        "--locate", action="store_true", help="report where the first NaN or infinity arises"
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
        help="let the guard also set differences to zero that are positive only by rounding",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the records of the stability report, or of --record"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(arguments: list[str], locate: Locate = locate_in_workload) -> int:
    """Report stability, search a prediction or compare fixes; 1 for a bad value, else 0.

    Parameters
    ----------
    arguments
        What follows ``perfkit guard``.
    locate
        Searches a workload, for ``--locate``.
    """
    request = parse_request(
        "guard",
        "Run the model under several compiler settings, guarded, and report for each what the "
        "guard did, whether the answer is finite and whether it agrees with the reference. With "
        "--locate, report where the first NaN or infinity arises. With --remedies, show what the "
        "usual fixes do.",
        arguments,
        _add,
    )
    given = request.arguments
    if given.locate and given.remedies:
        raise UserError("--locate and --remedies exclude each other: give one of them")
    if given.record is not None and not (given.locate and given.out):
        raise UserError("--record goes with --locate and --out FOLDER, the folder of its records")
    if given.locate:
        return _locate(request, locate)
    if given.remedies:
        return _remedies(as_json=given.json)
    return _stability(request)


def _stability(request: Request) -> int:
    given, model = request.arguments, request.model
    settings = settings_of(model, configuration_of(request).as_dict())
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
    console = Console(to_stderr=given.json)
    console.announce(model, [request.workload], jaxlib_warnings(console))
    with console.trial(f"the reference and {count_text(len(settings), 'setting')}"):
        rows = run_stability(plan, lambda record: console.line(f"  {record_line(record)}"))
    if given.json:
        print_json(stability_as_dict(request.workload, rows))
    else:
        _show_stability(console, rows, out)
    return 0 if all(map(is_stable, rows)) else 1


def _show_stability(console: Console, rows: Sequence[StabilityRow], out: Path) -> None:
    from perfkit.diagnose.remedies import compare_remedies

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
    console.line(verdict(rows))
    for row in rows:
        if row.outcome == Outcome.NONFINITE:
            command = f"perfkit guard --locate --record {row.record} --out {out}"
            console.line(f"to find where it arises under {row.setting}: {command}")
    _show_remedies(console, compare_remedies())


def _locate(request: Request, locate: Locate) -> int:
    given = request.arguments
    console = Console(to_stderr=given.json)
    if given.record is not None:
        record = find_record(given.out, given.record)
        with console.trial(f"searching the trial of record {given.record}"):
            result = locate_in_record(record, locate)
    else:
        configuration = configuration_of(request)
        request.refuse_without_memory(configuration, request.workload)
        console.workload(request.workload, request.model)
        with console.trial(f"searching {configuration.label}"):
            result = locate(request.workload, configuration, GUARD_OFF)
    if given.json:
        print_json(result.as_dict())
    else:
        for sentence in result.sentences():
            console.line(sentence)
    return 0 if result.finding is None else 1


def _remedies(*, as_json: bool) -> int:
    from perfkit.diagnose.remedies import compare_remedies

    remedies = compare_remedies()
    if as_json:
        print_json([remedy.as_dict() for remedy in remedies])
    else:
        _show_remedies(Console(), remedies)
    return 0


def _show_remedies(console: Console, remedies: Sequence[Remedy]) -> None:
    console.line("effect of each fix on the sampler step that rounding makes NaN:")
    table = Table("fix", "levels NaN", "levels with extra noise", "hides -0.5", "hides NaN")
    for remedy in remedies:
        table.add_row(
            remedy.name,
            str(remedy.nan_levels),
            str(remedy.noisy_levels),
            "yes" if remedy.hides_errors else "no",
            "yes" if remedy.hides_nan else "no",
        )
    console.rich.print(table)

"""``perfkit guard``: where the first bad value arises, and what the usual fixes do."""

from __future__ import annotations

import json
import sys

from rich.table import Table

from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import (
    Parser,
    Request,
    add_knob_argument,
    configuration_of,
    parse_request,
)
from perfkit.errors import UserError


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    action = parser.add_argument_group("what to do")
    action.add_argument(
        "--locate", action="store_true", help="say where the first NaN or infinity arises"
    )
    action.add_argument(
        "--remedies",
        action="store_true",
        help="show what jnp.maximum, jnp.where and the guard do to a sampler step",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def main(arguments: list[str]) -> int:
    """Search a prediction or compare the fixes; 1 when a bad value is found, else 0."""
    request = parse_request(
        "guard",
        "Say where the first NaN or infinity of a prediction arises, or what the usual fixes do.",
        arguments,
        _add,
    )
    given = request.arguments
    if given.locate == given.remedies:
        raise UserError("say what to do: either --locate or --remedies")
    return _locate(request) if given.locate else _remedies(as_json=given.json)


def _locate(request: Request) -> int:
    from perfkit.guard.locate_model import locate_in_child
    from perfkit.trial.launcher import child_environment

    configuration = configuration_of(request)
    request.refuse_without_memory(configuration, request.workload)
    console = Console()
    if not request.arguments.json:
        console.workload(request.workload, request.model)
    located = locate_in_child(
        request.workload.as_dict(),
        configuration.overrides(),
        child_environment(configuration),
        configuration.affinity(),
    )
    finding = located.finding
    if request.arguments.json:
        plain = {"finding": finding and finding.as_dict(), "call": located.call}
        json.dump(plain, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif finding is None:
        console.line("every value of the prediction is finite")
    else:
        console.line(finding.sentence())
        if located.call:
            console.line(f"in call {located.call} of the compiled function, counted from 0")
    return 0 if finding is None else 1


def _remedies(*, as_json: bool) -> int:
    from perfkit.guard.remedies import compare_remedies

    remedies = compare_remedies()
    if as_json:
        json.dump([remedy.as_dict() for remedy in remedies], sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    console = Console()
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
    return 0

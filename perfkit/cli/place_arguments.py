"""Arguments of the subcommands whose work can run elsewhere: the place, and what is asked of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from perfkit.api.shared.elsewhere import Elsewhere
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser
from perfkit.cluster.place import TIME_S, WORKERS, Options
from perfkit.cluster.places import LOCAL, PLACES
from perfkit.errors import UserError
from perfkit.units import parse_duration


def add_place_arguments(parser: Parser) -> None:
    """Add ``--on`` and the options of a scheduler."""
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--on",
        choices=tuple(PLACES),
        default=LOCAL,
        help="local: this machine (default); slurm: workers of a Slurm array share the work "
        "through the folder of --out, which all nodes must see",
    )
    group.add_argument("--partition", help="partition of the workers (default: that of the site)")
    group.add_argument("--time", help=f"time limit of a worker (default {TIME_S / 60:.0f}m)")
    group.add_argument(
        "--exclusive", action="store_true", help="give each worker a node of its own"
    )
    group.add_argument("--cpus-per-worker", type=int, metavar="N", help="CPUs of each worker")
    group.add_argument(
        "--array-limit",
        type=int,
        metavar="N",
        help=f"workers at the same time (default {WORKERS}); with --on local, this many worker "
        "processes share the work",
    )
    add_passed_on_argument(group)
    group.add_argument(
        "--script",
        action="store_true",
        help="with --on slurm: write a script that submits the workers with sbatch, submit nothing",
    )
    group.add_argument(
        "--no-follow",
        action="store_true",
        help="submit the workers and return; 'perfkit status' shows what they do",
    )


def add_passed_on_argument(parser: argparse._ActionsContainer) -> None:
    """Add ``--place-option``."""
    parser.add_argument(
        "--place-option",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="any other option of sbatch, e.g. account=LAB; repeatable",
    )


def elsewhere_of(arguments: argparse.Namespace) -> Elsewhere | None:
    """Where the work runs; None for this process.

    Raises
    ------
    UserError
        An option needs a scheduler, or is malformed.
    """
    if arguments.on == LOCAL and arguments.array_limit is None:
        given = [
            name
            for name in (
                "partition",
                "time",
                "exclusive",
                "cpus_per_worker",
                "place_option",
                "script",
                "no_follow",
            )
            if getattr(arguments, name)
        ]
        if given:
            name = given[0].replace("_", "-")
            raise UserError(f"--{name} is for workers: add --on slurm, or leave it out")
        return None
    if arguments.script and arguments.on == LOCAL:
        raise UserError("--script writes a script for Slurm: add --on slurm, or leave it out")
    cpus = arguments.cpus_per_worker
    if cpus is not None and cpus < 1:
        raise UserError(f"--cpus-per-worker takes 1 or more, not {cpus}")
    limit = arguments.array_limit
    options = Options(
        partition=arguments.partition,
        time_s=TIME_S if arguments.time is None else parse_duration(arguments.time),
        exclusive=arguments.exclusive,
        cpus=cpus,
        workers=WORKERS if limit is None else limit,
        passed_on=passed_on_of(arguments.place_option),
    )
    return Elsewhere(arguments.on, options, arguments.script, not arguments.no_follow)


def passed_on_of(texts: Sequence[str]) -> dict[str, str | None]:
    """Options as given with ``--place-option``, by name; None for those without a value."""
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.lstrip("-").partition("=")
        found[name] = value if equals else None
    return found


def call_and_show(
    kind: str, arguments: Mapping[str, Any], where: Elsewhere, console: Console
) -> int:
    """Let a worker make a call, and print which files it left; 0 if it has ended, else 1.

    Parameters
    ----------
    kind
        A key of :data:`perfkit.api.shared.shared_whole.CALLS`.
    arguments
        Arguments of the call.
    where
        The place.
    console
        Follows the study.
    """
    from perfkit.api.shared.shared_whole import call_elsewhere

    result = call_elsewhere(kind, arguments, where, console)
    for path in result.files:
        console.line(f"written: {path}")
    if result.unfinished:
        console.line(result.unfinished)
    return 1 if result.unfinished else 0

"""``perfkit run``: one guarded, measured prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from perfkit.api.predictions import GUARDS
from perfkit.api.results import RunResult
from perfkit.api.running import run_each
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.place_arguments import add_place_arguments, elsewhere_of
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    add_observe_argument,
    knobs_of,
    observers_of,
    parse_command_line,
)
from perfkit.errors import NotWrittenError
from perfkit.trial.messages import GUARD_LIFT


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument(
        "--guard",
        choices=GUARDS,
        default=GUARD_LIFT,
        help="domain guard: off; lift operands that left their domain by rounding (default); or "
        "zero, which also sets differences that are only rounding to zero",
    )
    parser.add_argument(
        "--locate",
        action="store_true",
        help="if the answer is not finite, also report where the first bad value arose",
    )
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for the predictions and the records")
    parser.add_argument(
        "--force-output-dir",
        action="store_true",
        help="replace an earlier prediction of the same input, and other files of the same names, "
        "instead of writing to a new folder with the time in its name",
    )
    parser.add_argument(
        "--compile-cache", type=Path, help="folder of compiled programs to read from and add to"
    )
    parser.add_argument(
        "--passes", type=int, default=1, help="timed passes after the first (default 1)"
    )
    add_place_arguments(parser)
    add_json_argument(parser)


def main(arguments: list[str], run: Callable[..., Iterable[RunResult]] = run_each) -> int:
    """Run one trial per input and print the measurements.

    Parameters
    ----------
    arguments
        Command line after the subcommand.
    run
        Runs the trials, one after the other.

    Returns
    -------
    int
        0 when the outcome of every trial is ``ok``, else 1.

    Raises
    ------
    NotWrittenError
        The prediction cannot be written, which the user can fix: exit code 2.
    """
    given = parse_command_line(
        "run", "Run guarded, measured predictions.", arguments, _add, predicts=True
    )
    own = given.arguments
    console = Console(to_stderr=own.json)
    where = elsewhere_of(own)
    if where is not None:
        from perfkit.api.shared.shared_run import run_elsewhere

        run = partial(run_elsewhere, where)
    results = run(
        **given.subject,
        knobs=knobs_of(own),
        preset=own.preset,
        guard=own.guard,
        locate=own.locate,
        observe=observers_of(own),
        passes=own.passes,
        compile_cache=own.compile_cache,
        out=own.out,
        force_output_dir=own.force_output_dir,
        progress=console,
    )
    failed: list[str] = []
    shown: list[dict[str, object]] = []
    for result in results:
        console.record(result.record, result.folder)
        shown.append({"folder": result.folder, "record": result.record})
        if result.interrupted:
            raise KeyboardInterrupt
        if result.not_written:
            raise NotWrittenError(result.record.reason)
        if not result.ok:
            failed.append(result.record.workload.name)
    if failed and len(shown) > 1:
        console.line(f"{len(failed)} of {len(shown)} predictions failed: {', '.join(failed)}")
    if own.json:
        print_json(shown)
    return 1 if failed else 0

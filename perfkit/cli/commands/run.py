"""``perfkit run``: one guarded, measured prediction."""

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
from perfkit.diagnose.locate.record import with_location
from perfkit.errors import NotWrittenError, UserError
from perfkit.observers.registry import make_observers
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.launcher import run_trial
from perfkit.trial.messages import GUARD_LIFT, GUARD_OFF, GUARD_ZERO
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialFiles, TrialRequest
from perfkit.trial.worker.output_folder import ensure_own_folder


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument(
        "--guard",
        choices=(GUARD_OFF, GUARD_LIFT, GUARD_ZERO),
        default=GUARD_LIFT,
        help="domain guard: lift operands that left their domain by rounding (default), return "
        "zero for differences that are rounding, or off",
    )
    parser.add_argument(
        "--locate",
        action="store_true",
        help="if the answer is not finite, also say where the first bad value arose",
    )
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for the prediction and the record")
    parser.add_argument(
        "--compile-cache", type=Path, help="folder of compiled programs to take from and add to"
    )
    parser.add_argument(
        "--passes", type=int, default=1, help="timed passes after the first (default 1)"
    )


def main(arguments: list[str]) -> int:
    """Run one trial and print what was measured; 0 when its outcome is ``ok``, else 1.

    A prediction that cannot be written is an error of the user's: 2.
    """
    request = parse_request(
        "run", "One guarded, measured prediction.", arguments, _add, predicts=True
    )
    given = request.arguments
    if given.passes < 0:
        raise UserError(f"--passes takes 0 or more, not {given.passes}")
    configuration = configuration_of(request)
    observers = observers_of(request)
    limits = request.limits()
    request.refuse_without_memory(configuration, request.workload)
    out = given.out or default_folder("run", request.workload.name)
    ensure_own_folder(out, request.workload)
    store = Store(out)
    console = Console()
    console.workload(request.workload, request.model)
    files = TrialFiles(output_folder=out, compile_cache=given.compile_cache)
    trial = ObservedTrial(
        TrialRequest(
            request.workload,
            configuration,
            out,
            limits,
            files=files,
            guard=given.guard,
            observers=tuple(make_observers(observers)),
        )
    )
    with console.waiting(trial, configuration.label):
        record = run_trial(trial, given.passes)
    if given.locate:
        record = with_location(record, out)
    store.append(record)
    console.record(record, out)
    if record.outcome is Outcome.INTERRUPTED or trial.interrupted:
        raise KeyboardInterrupt
    if trial.not_written:
        # A person can mend that, unlike what the other outcomes report.
        raise NotWrittenError(record.reason)
    return 0 if record.outcome is Outcome.OK else 1

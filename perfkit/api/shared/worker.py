"""``python -m perfkit.api.shared.worker STUDY``: a worker of a shared study, of any kind."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from perfkit.cluster.idle import busy_sentence, busy_share
from perfkit.errors import UserError
from perfkit.files import reason_of
from perfkit.printable import printable
from perfkit.shared_study.study import SharedStudy
from perfkit.shared_study.worker import Executor, end_on_time_limit, this_worker, work
from perfkit.trial.interrupts import EXIT_CODE, install_interrupt_handlers

KINDS = {
    "fit": "perfkit.api.shared.shared_whole",
    "run": "perfkit.api.shared.shared_run",
    "sweep": "perfkit.api.shared.shared_sweep",
    "tune": "perfkit.api.shared.shared_tune",
}
"""Module by kind of study; its function ``make_executor`` is given the study."""


def make_executor(study: SharedStudy) -> Executor:
    """Make what runs the units of a study.

    Raises
    ------
    UserError
        The kind is unknown, or an argument of the study is impossible on this node.
    """
    if study.plan.kind not in KINDS:
        raise UserError(
            f"{study.folder} is a study of kind {study.plan.kind!r}, which has no units"
        )
    make: Callable[[SharedStudy], Executor] = importlib.import_module(
        KINDS[study.plan.kind]
    ).make_executor
    return make(study)


def main(arguments: list[str]) -> int:
    """Work until no unit is open; 0 unless the study cannot be worked on here."""
    if len(arguments) != 1:
        raise UserError(f"usage: python -m {__spec__.name} STUDY")
    study = SharedStudy(Path(arguments[0]).resolve())
    try:
        # Relative paths among the arguments start from here.
        os.chdir(study.plan.folder)
    except OSError as error:
        raise UserError(f"{study.plan.folder} cannot be entered ({reason_of(error)})") from error

    def say(line: str) -> None:
        print(printable(line), flush=True)

    worker = this_worker(busy=busy_sentence(busy_share()))
    if worker.busy:
        say(f"warning: on {worker.place}, {worker.busy}")
    try:
        executor = make_executor(study)
    except UserError as error:
        # 'perfkit status' shows why this node cannot work on the study.
        study.notes.enter(worker)
        study.notes.leave(worker, str(error))
        raise
    say(work(study, executor, worker, say))
    return 0


if __name__ == "__main__":
    install_interrupt_handlers()
    end_on_time_limit()
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print(f"perfkit: {printable(str(error))}", file=sys.stderr)
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_CODE)

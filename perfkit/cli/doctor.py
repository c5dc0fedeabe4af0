"""``perfkit doctor``: is the installed jaxlib right on this CPU, under the flags in use?"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.table import Table

from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import MissingDependencyError

if TYPE_CHECKING:
    from perfkit.guard.doctor import Diagnosis


def main(arguments: list[str]) -> int:
    """Run the known-answer programs and print what is known and what is seen; 1 if any is wrong."""
    parser = Parser(
        prog="perfkit doctor",
        description="Run small programs whose answers are known against the installed jaxlib, on "
        "this CPU, under XLA_FLAGS, and list the known faults of its version.",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    given = parser.parse_args(arguments)
    try:
        from perfkit.guard.doctor import examine
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is not installed: pip install 'perfkit[af3]' brings it"
        ) from error
    diagnosis = examine()
    if given.json:
        json.dump(diagnosis.as_dict(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(diagnosis)
    return 0 if diagnosis.healthy else 1


def _show(diagnosis: Diagnosis) -> None:
    from perfkit.guard.known_answers import KNOWN_ANSWERS

    asks = {known.name: known.asks for known in KNOWN_ANSWERS}
    console = Console()
    flags = diagnosis.xla_flags or "none"
    console.line(f"jaxlib {diagnosis.jaxlib_version}, XLA_FLAGS: {flags}")
    answers = Table("program", "answer", "detail")
    for answer in diagnosis.answers:
        answers.add_row(asks[answer.name], "right" if answer.right else "WRONG", answer.detail)
    console.rich.print(answers)
    if diagnosis.notices:
        notices = Table("known fault", "reference", "standing", "remedy")
        for notice in diagnosis.notices:
            advisory = notice.advisory
            notices.add_row(advisory.fault, advisory.reference, notice.standing, advisory.remedy)
        console.rich.print(notices)
    else:
        console.line("no fault is known of this version under these flags")
    if diagnosis.healthy:
        console.line(f"all {len(diagnosis.answers)} answers are right")
    else:
        console.line(
            f"{len(diagnosis.wrong)} of {len(diagnosis.answers)} answers are wrong: "
            "results of this jaxlib on this CPU cannot be trusted"
        )

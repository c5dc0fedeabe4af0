"""``perfkit doctor``: are the answers of the installed jaxlib right on this CPU?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser, add_jaxlib_argument
from perfkit.diagnose.diagnosis import Diagnosis
from perfkit.diagnose.doctor import examine, examine_under
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import SMALLEST_MODEL, get_model
from perfkit.tuning.preset import load_preset


def main(
    arguments: list[str],
    examine: Callable[[], Diagnosis] = examine,
    examine_under: Callable[[Configuration], Diagnosis] = examine_under,
) -> int:
    """Run the known-answer programs and print the diagnosis; 1 if an answer is wrong.

    Parameters
    ----------
    arguments
        What follows ``perfkit doctor``.
    examine
        Examines this process.
    examine_under
        Examines a process under a configuration.
    """
    parser = Parser(
        prog="perfkit doctor",
        description="Run small programs with known answers on the installed jaxlib and this CPU, "
        "under XLA_FLAGS and the preset or knobs given, and list the known faults of this jaxlib "
        "version.",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    parser.add_argument("--preset", type=Path, help="examine under the settings of this preset")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="also examine under this setting; repeatable",
    )
    add_jaxlib_argument(parser, "known answers and times under each of them, side by side")
    noise = parser.add_argument_group("noise of this machine, instead of the known answers")
    noise.add_argument(
        "--noise",
        action="store_true",
        help="measure identical programs against each other, and print how large a gain can be "
        "found here with how many pairs of processes (a few minutes)",
    )
    noise.add_argument(
        "--model",
        default=SMALLEST_MODEL,
        help=f"model whose smallest input is run (default {SMALLEST_MODEL})",
    )
    noise.add_argument("--pairs", type=int, default=6, help="pairs of processes (default 6)")
    noise.add_argument("--out", type=Path, help="folder for the records of --noise")
    given = parser.parse_args(arguments)
    if given.noise:
        from perfkit.cli.commands.doctor_noise import show_noise

        return show_noise(given.model, given.pairs, given.out)
    if given.jaxlib is not None:
        if given.preset is not None or given.knob:
            raise UserError("--jaxlib examines stock settings: leave out --preset and --knob")
        from perfkit.cli.commands.doctor_jaxlibs import show_versions

        return show_versions(given.jaxlib, given.model, given.out, as_json=given.json)
    if given.preset is not None or given.knob:
        diagnosis = examine_under(_configuration(given.preset, given.knob))
    else:
        diagnosis = examine()
    if given.json:
        json.dump(diagnosis.as_dict(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(diagnosis)
    return 0 if diagnosis.healthy else 1


def _configuration(preset: Path | None, settings: Sequence[str]) -> Configuration:
    values: dict[str, str] = {}
    catalogue = Catalogue()
    if preset is not None:
        loaded = load_preset(preset)
        catalogue = Catalogue(get_model(loaded.model).knobs)
        values = loaded.configuration.as_dict()
    return catalogue.configuration(values | dict(map(catalogue.parse_setting, settings)))


def _show(diagnosis: Diagnosis) -> None:
    from perfkit.diagnose.known_answers import KNOWN_ANSWERS

    questions = {known.name: known.question for known in KNOWN_ANSWERS}
    console = Console()
    flags = diagnosis.xla_flags or "none"
    console.line(f"jaxlib {diagnosis.jaxlib_version}, XLA_FLAGS: {flags}")
    answers = Table("program", "answer", "detail")
    for answer in diagnosis.answers:
        state = "right" if answer.right else "WRONG"
        answers.add_row(questions[answer.name], state, answer.detail)
    console.rich.print(answers)
    if diagnosis.notices:
        notices = Table("known fault", "reference", "standing", "remedy")
        for notice in diagnosis.notices:
            advisory = notice.advisory
            notices.add_row(advisory.fault, advisory.reference, notice.standing, advisory.remedy)
        console.rich.print(notices)
    else:
        console.line("no fault of this version is known under these flags")
    if diagnosis.healthy:
        console.line(f"all {len(diagnosis.answers)} answers are right")
    else:
        console.line(
            f"{len(diagnosis.wrong)} of {len(diagnosis.answers)} answers are wrong: "
            "results of this jaxlib on this CPU cannot be trusted"
        )

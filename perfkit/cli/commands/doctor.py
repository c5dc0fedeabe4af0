"""``perfkit doctor``: is the installed jaxlib right on this CPU, under the flags in use?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import MissingDependencyError, UserError
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import SMALLEST_MODEL, get_model
from perfkit.tune.apply import preset_environment
from perfkit.tune.preset import load_preset

if TYPE_CHECKING:
    from perfkit.diagnose.doctor import Diagnosis


def main(arguments: list[str]) -> int:
    """Run the known-answer programs and print what is known and what is seen; 1 if any is wrong."""
    parser = Parser(
        prog="perfkit doctor",
        description="Run small programs whose answers are known against the installed jaxlib, on "
        "this CPU, under XLA_FLAGS and the preset or knobs given, and list the known faults of "
        "its version.",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    parser.add_argument("--preset", type=Path, help="examine under this preset's settings")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="examine under this setting too; repeatable",
    )
    noise = parser.add_argument_group("noise of this machine, instead of the known answers")
    noise.add_argument(
        "--noise",
        action="store_true",
        help="measure identical programs against each other, and print which difference can be "
        "seen here with how many pairs of processes (a few minutes)",
    )
    noise.add_argument("--model", default=SMALLEST_MODEL, help="whose smallest input is run")
    noise.add_argument("--pairs", type=int, default=6, help="pairs of processes (default 6)")
    noise.add_argument("--out", type=Path, help="folder for the records of --noise")
    given = parser.parse_args(arguments)
    if given.noise:
        from perfkit.cli.commands.doctor_noise import show_noise

        return show_noise(given.model, given.pairs, given.out)
    if given.preset is not None or given.knob:
        return _examine_under(_configuration(given.preset, given.knob), as_json=given.json)
    try:
        from perfkit.diagnose.doctor import examine
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


def _configuration(preset: Path | None, settings: Sequence[str]) -> Configuration:
    values: dict[str, str] = {}
    catalogue = Catalogue()
    if preset is not None:
        loaded = load_preset(preset)
        catalogue = Catalogue(get_model(loaded.model).knobs)
        values = loaded.configuration.as_dict()
    return catalogue.configuration(values | dict(map(catalogue.parse_setting, settings)))


def _examine_under(configuration: Configuration, *, as_json: bool) -> int:
    """Examine in a process of its own: XLA reads its flags once, CPUs are bound before it."""
    cpus = configuration.ensure_possible()
    command = [sys.executable, "-m", "perfkit", "doctor", *(["--json"] if as_json else [])]
    # The child must find the same perfkit, wherever it is run from.
    root = str(Path(__file__).parents[2])
    environment = preset_environment(configuration)
    paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        returned = subprocess.run(command, env=environment, check=False).returncode
    finally:
        os.sched_setaffinity(0, allowed)
    if returned < 0:
        raise UserError(f"XLA does not start under {configuration.label}: see its words above")
    return returned


def _show(diagnosis: Diagnosis) -> None:
    from perfkit.diagnose.known_answers import KNOWN_ANSWERS

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

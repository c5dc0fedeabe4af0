"""``perfkit doctor``: is this machine fit to run the models, and what mends it if not?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perfkit.cli.commands.doctor.output import show_checkup
from perfkit.cli.console import Console
from perfkit.cli.json_output import print_json
from perfkit.cli.workload_arguments import Parser, add_jaxlib_argument
from perfkit.diagnose.checkup import Checkup
from perfkit.diagnose.doctor import check_up, setup_under
from perfkit.diagnose.examiner import Setup
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import SMALLEST_MODEL, get_model
from perfkit.tuning.preset import load_preset

EXIT_CODES = """\
exit codes:
  0  all answers of the jaxlib are right
  1  an answer is wrong
  2  bad input, or XLA does not start"""


def main(arguments: list[str], check_up: Callable[..., Checkup] = check_up) -> int:
    """Examine the environment and print what was found; 1 if an answer is wrong, else 0.

    Parameters
    ----------
    arguments
        What follows ``perfkit doctor``.
    check_up
        Examines a setup, see :func:`perfkit.diagnose.doctor.check_up`.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.noise:
        from perfkit.cli.commands.doctor.noise import show_noise

        return show_noise(given.model, given.pairs, given.out, as_json=given.json)
    if given.jaxlib is not None:
        if given.preset is not None or given.knob or given.python:
            raise UserError(
                "--jaxlib examines stock settings: leave out --preset, --knob and --python"
            )
        from perfkit.cli.commands.doctor.jaxlibs import show_versions

        return show_versions(given.jaxlib, given.model, given.out, as_json=given.json)
    for python in given.python:
        if not python.is_file():
            raise UserError(f"--python takes the Python of an environment, and {python} is no file")
    setup = Setup()
    if given.preset is not None or given.knob:
        setup = setup_under(_configuration(given.preset, given.knob))
    console = Console(to_stderr=given.json)
    with console.trial("examining") as progress:
        checkup = check_up(setup, others=given.python, quick=given.quick, progress=progress)
    if given.json:
        print_json(checkup.as_dict())
    else:
        show_checkup(console, checkup)
    return 0 if checkup.diagnosis.healthy else 1


def _parser() -> Parser:
    parser = Parser(
        prog="perfkit doctor",
        description="Show the environment that was found, run small programs with known answers on "
        "its jaxlib and this CPU, search flags that mend wrong answers, and end with a verdict. "
        "XLA_FLAGS and the preset or knobs given apply.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="look neither at the noise of the machine nor for flags that mend wrong answers",
    )
    parser.add_argument("--preset", type=Path, help="examine under the settings of this preset")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="also examine under this setting; repeatable",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="also run the programs with the jaxlib of this Python's environment; repeatable",
    )
    add_jaxlib_argument(parser, "known answers and times under each of them, side by side")
    noise = parser.add_argument_group("noise of this machine in full, instead of all else")
    noise.add_argument(
        "--noise",
        action="store_true",
        help="measure identical programs against each other, and print how large a gain can be "
        "found here with how many pairs of processes (a few minutes)",
    )
    noise.add_argument("--pairs", type=int, default=6, help="pairs of processes (default 6)")
    measured = parser.add_argument_group("what --noise and --jaxlib measure")
    measured.add_argument(
        "--model",
        default=SMALLEST_MODEL,
        help=f"model whose smallest input is run (default {SMALLEST_MODEL})",
    )
    measured.add_argument("--out", type=Path, help="folder for the records (default: none)")
    return parser


def _configuration(preset: Path | None, settings: Sequence[str]) -> Configuration:
    values: dict[str, str] = {}
    catalogue = Catalogue()
    if preset is not None:
        loaded = load_preset(preset)
        catalogue = Catalogue(get_model(loaded.model).knobs)
        values = loaded.configuration.as_dict()
    return catalogue.configuration(values | dict(map(catalogue.parse_setting, settings)))

"""``perfkit preset``: show a preset in a form that works without perfkit."""

from __future__ import annotations

import sys
from pathlib import Path

from perfkit.cli.workload_arguments import Parser
from perfkit.tuning.foreign_runs.shown import FORMS, shown_preset
from perfkit.tuning.preset import load_preset


def main(arguments: list[str]) -> int:
    """Print the preset."""
    parser = Parser(
        prog="perfkit preset",
        description="Show a preset in a form that works without perfkit. What has no counterpart "
        "there, such as the settings of the model, is named in comments.",
    )
    parser.add_argument("action", choices=["show"], help="what to do with the preset")
    parser.add_argument("preset", type=Path, help="preset saved by perfkit tune")
    parser.add_argument(
        "--as",
        dest="form",
        choices=list(FORMS),
        default="bash",
        help="env: lines NAME=value for docker run --env-file; bash: lines to source; slurm: a "
        "batch script; docker: a script that runs a container; python: lines for the begin of a "
        "program (default: bash)",
    )
    given = parser.parse_args(arguments)
    sys.stdout.write(shown_preset(load_preset(given.preset), given.form))
    return 0

"""``perfkit cancel``: end the workers of a study."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.shared.elsewhere import cancel_study
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser


def main(arguments: list[str]) -> int:
    """End the workers; 0."""
    parser = Parser(
        prog="perfkit cancel",
        description="End the workers of a study. All finished units are kept, and the command that "
        "started the study resumes it.",
    )
    parser.add_argument("study", type=Path, help="folder of the study, as given with --out")
    given = parser.parse_args(arguments)
    ended = cancel_study(given.study)
    Console().line(f"{given.study}: {ended} workers are asked to end; finished units are kept")
    return 0

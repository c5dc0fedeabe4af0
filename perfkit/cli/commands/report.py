"""``perfkit report``: render the page of a folder of records, or of asv results."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.reporting import PAGE_NAME, render_report
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser


def main(arguments: list[str]) -> int:
    """Read a folder's records, or asv's results, and write its page."""
    parser = Parser(
        prog="perfkit report",
        description="Render the page of a folder of records, or of asv results over commits.",
    )
    parser.add_argument(
        "folder", type=Path, help="folder of a run, a tuning or a sweep, or asv's results folder"
    )
    parser.add_argument("--study", help="digest of the study to show, if the folder holds several")
    parser.add_argument("--html", type=Path, help=f"file to write (default FOLDER/{PAGE_NAME})")
    given = parser.parse_args(arguments)
    result = render_report(given.folder, study=given.study, html=given.html)
    console = Console()
    for sentence in result.skipped:
        console.line(f"warning: {sentence}")
    console.line(f"page: {result.page}")
    return 0

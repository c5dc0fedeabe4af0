"""``perfkit report``: render the page of a folder of records, or of asv results."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.report_sources import PAGE_NAME
from perfkit.api.reporting import render_report
from perfkit.cli.console import Console
from perfkit.cli.report_arguments import add_output_arguments, outputs_of, show_outputs
from perfkit.cli.workload_arguments import Parser


def main(arguments: list[str]) -> int:
    """Read a folder's records, or asv's results, and write its page."""
    parser = Parser(
        prog="perfkit report",
        description="Render the page of a folder of records, or of asv results over commits.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        help="folder of a run, a profile, a tuning, a sweep or a fit, or asv's results folder",
    )
    parser.add_argument("--study", help="digest of the study to show, if the folder holds several")
    parser.add_argument("--html", type=Path, help=f"file to write (default FOLDER/{PAGE_NAME})")
    add_output_arguments(parser)
    given = parser.parse_args(arguments)
    outputs = outputs_of(given)
    result = render_report(
        given.folder,
        study=given.study,
        html=given.html,
        bundle=outputs.bundle,
        data=outputs.data,
        png=outputs.png,
    )
    console = Console()
    for sentence in result.skipped:
        console.line(f"warning: {sentence}")
    console.line(f"page: {result.page}")
    show_outputs(result, console)
    return 0

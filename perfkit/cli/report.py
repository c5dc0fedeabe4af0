"""``perfkit report``: render the page of a folder of records again."""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.console import Console
from perfkit.cli.study_output import PAGE_NAME, PRESET_NAME, page_of_records
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.history.asv_results import is_results_folder, read_results
from perfkit.records.store import read_records
from perfkit.report.build import write_report
from perfkit.report.history import history_page


def main(arguments: list[str]) -> int:
    """Read a folder's records, or asv's results, and write its page."""
    parser = Parser(prog="perfkit report", description="Render the page of a folder of records.")
    parser.add_argument(
        "folder", type=Path, help="folder of a run, tuning or sweep, or asv's results folder"
    )
    parser.add_argument("--study", help="digest of one study, where the folder holds several")
    parser.add_argument("--html", type=Path, help=f"file to write (default FOLDER/{PAGE_NAME})")
    given = parser.parse_args(arguments)
    page = given.html or given.folder / PAGE_NAME
    if is_results_folder(given.folder):
        write_report(page, history_page(read_results(given.folder)))
    else:
        write_report(page, _page_of_records(given.folder, given.study))
    Console().line(f"page: {page}")
    return 0


def _page_of_records(folder: Path, study: str | None) -> str:
    records = read_records(folder)
    studies = sorted({record.study for record in records if record.study is not None})
    if study is not None:
        records = [record for record in records if record.study == study]
    elif len(studies) > 1:
        raise UserError(
            f"{folder} holds {len(studies)} studies ({', '.join(studies)}): name one with --study"
        )
    if not records:
        raise UserError(f"{folder} holds no records to report on")
    preset = folder / PRESET_NAME
    return page_of_records(records, preset if preset.exists() else None)

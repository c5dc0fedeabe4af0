"""``perfkit report``: render the page of a folder of records again."""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.console import Console
from perfkit.cli.study_output import PAGE_NAME, PRESET_NAME, page_of_records
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.history.asv_results import is_results_folder, read_results
from perfkit.records.store import PATTERN, read_folder
from perfkit.report.history_page import history_page
from perfkit.report.writing import write_report


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
    console = Console()
    if _holds_asv_results(given.folder):
        reading = read_results(given.folder)
        for sentence in reading.skipped:
            console.line(f"warning: {sentence}")
        write_report(page, history_page(reading.results, reading.skipped))
    else:
        write_report(page, _page_of_records(console, given.folder, given.study))
    console.line(f"page: {page}")
    return 0


def _holds_asv_results(folder: Path) -> bool:
    try:
        return is_results_folder(folder) and not any(folder.glob(PATTERN))
    except OSError as error:
        raise UserError(f"{folder} cannot be looked into ({error.strerror})") from error


def _page_of_records(console: Console, folder: Path, study: str | None) -> str:
    reading = read_folder(folder)
    skipped = [one.sentence() for one in reading.skipped]
    for sentence in skipped:
        console.line(f"warning: {sentence}")
    records = list(reading.records)
    studies = sorted({record.study for record in records if record.study is not None})
    if study is not None:
        records = [record for record in records if record.study == study]
    elif len(studies) > 1:
        raise UserError(
            f"{folder} holds {len(studies)} studies ({', '.join(studies)}): name one with --study"
        )
    if not records:
        what = f"no records of study {study}" if study is not None else "no records"
        raise UserError(f"{folder} holds {what} to report on")
    preset = folder / PRESET_NAME
    return page_of_records(records, preset if preset.exists() else None, skipped)

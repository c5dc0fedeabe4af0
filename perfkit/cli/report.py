"""``perfkit report``: render the page of a folder of records again."""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.console import Console
from perfkit.cli.study_output import PAGE_NAME, PRESET_NAME, page_of_records
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.records.store import read_records
from perfkit.report.build import write_report


def main(arguments: list[str]) -> int:
    """Read a folder's records and write its page."""
    parser = Parser(prog="perfkit report", description="Render the page of a folder of records.")
    parser.add_argument("folder", type=Path, help="folder of a run, tuning or sweep")
    parser.add_argument("--study", help="digest of one study, where the folder holds several")
    parser.add_argument("--html", type=Path, help=f"file to write (default FOLDER/{PAGE_NAME})")
    given = parser.parse_args(arguments)
    records = read_records(given.folder)
    studies = sorted({record.study for record in records if record.study is not None})
    if given.study is not None:
        records = [record for record in records if record.study == given.study]
    elif len(studies) > 1:
        raise UserError(
            f"{given.folder} holds {len(studies)} studies ({', '.join(studies)}): "
            "name one with --study"
        )
    if not records:
        raise UserError(f"{given.folder} holds no records to report on")
    preset = given.folder / PRESET_NAME
    page = given.html or given.folder / PAGE_NAME
    write_report(page, page_of_records(records, preset if preset.exists() else None))
    Console().line(f"page: {page}")
    return 0

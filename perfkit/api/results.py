"""The result of one prediction, and how results are shown in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.records.schema import Outcome, Record
from perfkit.units import bytes_text, percent_text, seconds_text

STAGE_HEADERS = ("stage", "wall", "CPU", "utilisation", "peak memory", "page faults")
"""Headings of the rows that :func:`stage_rows` returns."""

type Rows = Iterable[Sequence[str]]
"""Rows of a table, each a sequence of cells."""


def stage_rows(record: Record) -> list[tuple[str, ...]]:
    """One row of texts per stage of a trial, under :data:`STAGE_HEADERS`."""
    return [
        (
            stage.name,
            seconds_text(stage.wall_s),
            seconds_text(stage.cpu_s),
            percent_text(record.utilisation(stage)),
            bytes_text(stage.peak_rss_bytes),
            f"{stage.minor_faults + stage.major_faults:,}",
        )
        for stage in record.stages
    ]


def outcome_sentence(record: Record) -> str:
    """How a trial ended, why, and under which configuration."""
    reason = f": {record.reason}" if record.reason else ""
    return f"outcome {record.outcome}{reason}; configuration {record.configuration.label}"


def html_table(headers: Sequence[str], rows: Rows) -> str:
    """An HTML table of plain text cells."""
    head = "".join(f"<th>{html.escape(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_lines(lines: Iterable[str]) -> str:
    """One HTML paragraph per line of plain text."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


@dataclass(frozen=True, repr=False)
class RunResult:
    """One measured prediction.

    Attributes
    ----------
    record
        The record of the trial: stages, memory, agreement, outcome.
    folder
        Folder of the prediction's files and of the record.
    interrupted
        Whether the user interrupted the trial or an observer's extra pass.
    not_written
        Whether the prediction ran but its files could not be written.
    page
        File of the profile page; None for a plain run.
    """

    record: Record
    folder: Path
    interrupted: bool = False
    not_written: bool = False
    page: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether the trial ended well."""
        return self.record.outcome is Outcome.OK

    @property
    def files(self) -> dict[str, Path]:
        """Path of each file that the trial wrote, by name."""
        return {name: self.folder / path for name, path in self.record.artifacts.items()}

    def _lines(self) -> list[str]:
        page = [f"page: {self.page}"] if self.page is not None else []
        notices = [f"note: {notice}" for notice in self.record.notices]
        return [outcome_sentence(self.record), f"folder: {self.folder}", *page, *notices]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return html_table(STAGE_HEADERS, stage_rows(self.record)) + html_lines(self._lines())

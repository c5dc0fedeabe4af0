"""Results of the API's functions: typed data that print well in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.records.schema import Outcome, Record
from perfkit.report.tables import HEADERS, configuration_table
from perfkit.tuning.extrapolate import Extrapolation
from perfkit.tuning.recommend import Recommendation
from perfkit.tuning.run import TuningResult
from perfkit.units import bytes_text, percent_text, seconds_interval_text, seconds_text

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


def production_sentence(extrapolation: Extrapolation) -> str:
    """The predicted time of a production prediction, and how far off a longer run was."""
    check = extrapolation.check
    error = "" if check is None else f" (a longer run was {check.error:+.1%} off)"
    fidelity = ", ".join(f"{name} {value}" for name, value in extrapolation.fidelity.items())
    return (
        f"a production prediction ({fidelity}) in {extrapolation.label}: "
        f"about {seconds_interval_text(extrapolation.total)}{error}"
    )


def html_table(headers: Sequence[str], rows: Rows) -> str:
    """An HTML table of plain text cells."""
    head = "".join(f"<th>{html.escape(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_lines(lines: Iterable[str]) -> str:
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _recommendation_html(recommendation: Recommendation) -> str:
    rows = (row.cells for row in configuration_table(recommendation))
    return html_table(HEADERS, rows) + _html_lines([recommendation.sentence])


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
        return html_table(STAGE_HEADERS, stage_rows(self.record)) + _html_lines(self._lines())


@dataclass(frozen=True, repr=False)
class TuneResult(TuningResult):
    """A tuning with its page.

    The attributes of :class:`perfkit.tuning.run.TuningResult`, and the page.

    Attributes
    ----------
    page
        File of the page.
    """

    page: Path = field(kw_only=True)

    def _files(self) -> list[str]:
        preset = [f"preset: {self.preset}"] if self.preset is not None else []
        production = [production_sentence(each) for each in self.extrapolations]
        return [*production, *self.unfinished, *preset, f"page: {self.page}"]

    def __repr__(self) -> str:
        return "\n".join([self.recommendation.sentence, *self._files()])

    def _repr_html_(self) -> str:
        return _recommendation_html(self.recommendation) + _html_lines(self._files())


@dataclass(frozen=True, repr=False)
class SweepResult:
    """A measured grid, complete or interrupted.

    Attributes
    ----------
    records
        All records of the sweep, oldest first, those of earlier calls included.
    rankings
        For each workload with records: its title, and its configurations ranked by time.
    folder
        Folder of the records.
    page
        File of the page; None where nothing was measured.
    interrupted
        Whether the user interrupted the sweep; the same call resumes.
    """

    records: tuple[Record, ...]
    rankings: tuple[tuple[str, Recommendation], ...]
    folder: Path
    page: Path | None
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether every trial that was not interrupted ended well."""
        return all(record.outcome in (Outcome.OK, Outcome.INTERRUPTED) for record in self.records)

    def __repr__(self) -> str:
        rankings = [f"{title}: {ranking.sentence}" for title, ranking in self.rankings]
        return "\n".join([f"{len(self.records)} trials", *rankings, f"page: {self.page}"])

    def _repr_html_(self) -> str:
        parts = [
            f"<h4>{html.escape(title)}</h4>" + _recommendation_html(ranking)
            for title, ranking in self.rankings
        ]
        return "".join([*parts, _html_lines([f"page: {self.page}"])])

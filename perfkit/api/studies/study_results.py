"""The results of studies: a tuning and a sweep."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.api.results import html_lines, html_table
from perfkit.records.schema import Outcome, Record
from perfkit.report.study.jaxlib_tables import jaxlib_table
from perfkit.report.tables import HEADERS, configuration_table
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.result import TuningResult
from perfkit.tuning.versions.jaxlibs import JaxlibComparison
from perfkit.units import seconds_interval_text


def production_sentence(extrapolation: Extrapolation) -> str:
    """The predicted time of a production prediction, and how far off a longer run was."""
    check = extrapolation.check
    error = "" if check is None else f" (a longer run was {check.error:+.1%} off)"
    fidelity = ", ".join(f"{name} {value}" for name, value in extrapolation.fidelity.items())
    return (
        f"a production prediction ({fidelity}) in {extrapolation.label}: "
        f"about {seconds_interval_text(extrapolation.total)}{error}"
    )


def _recommendation_html(recommendation: Recommendation) -> str:
    rows = (row.cells for row in configuration_table(recommendation))
    lines = [recommendation.sentence, *recommendation.conditions]
    return html_table(HEADERS, rows) + html_lines(lines)


@dataclass(frozen=True, repr=False)
class TuneResult(TuningResult):
    """A tuning with its page.

    The attributes of :class:`perfkit.tuning.choice.result.TuningResult`, and the page.

    Attributes
    ----------
    page
        File of the page.
    jaxlibs
        Stock and the recommended configuration under each version of jaxlib; None where no
        versions were compared.
    """

    page: Path = field(kw_only=True)
    jaxlibs: JaxlibComparison | None = field(kw_only=True, default=None)

    def _files(self) -> list[str]:
        versions = [] if self.jaxlibs is None else [self.jaxlibs.sentence]
        preset = [f"preset: {self.preset}"] if self.preset is not None else []
        production = [production_sentence(each) for each in self.extrapolations]
        front = [f"preset on the front of time and memory: {path}" for path in self.front]
        return [*versions, *production, *self.unfinished, *preset, *front, f"page: {self.page}"]

    def __repr__(self) -> str:
        found = self.recommendation
        return "\n".join([found.sentence, *found.conditions, *self._files()])

    def _repr_html_(self) -> str:
        return _recommendation_html(self.recommendation) + html_lines(self._files())


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
    jaxlibs
        For each workload: its configurations under each version of jaxlib; empty where no
        versions were compared.
    unfinished
        Why workers left a part of the grid unmeasured; empty if they did not.
    """

    records: tuple[Record, ...]
    rankings: tuple[tuple[str, Recommendation], ...]
    folder: Path
    page: Path | None
    interrupted: bool = False
    jaxlibs: tuple[JaxlibComparison, ...] = ()
    unfinished: str = ""

    @property
    def ok(self) -> bool:
        """Whether every trial that was not interrupted ended well, and none is missing."""
        return not self.unfinished and all(
            record.outcome in (Outcome.OK, Outcome.INTERRUPTED) for record in self.records
        )

    def __repr__(self) -> str:
        rankings = [f"{title}: {ranking.sentence}" for title, ranking in self.rankings]
        versions = [each.sentence for each in self.jaxlibs]
        count = f"{len(self.records)} trials"
        left = [self.unfinished] if self.unfinished else []
        return "\n".join([count, *rankings, *versions, *left, f"page: {self.page}"])

    def _repr_html_(self) -> str:
        parts = [
            f"<h4>{html.escape(title)}</h4>" + _recommendation_html(ranking)
            for title, ranking in self.rankings
        ]
        for table, each in ((jaxlib_table(each), each) for each in self.jaxlibs):
            parts += [html_table(table.headers, table.rows), html_lines([each.sentence])]
        return "".join([*parts, html_lines([f"page: {self.page}"])])

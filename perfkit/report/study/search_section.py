"""The section of a study's page on its search: what was looked at, what was not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.report.figures.search.looked import looked_figure, looked_info, looked_sentence
from perfkit.report.figures.search.screening import (
    SHALLOW,
    ScreeningInfo,
    screening_figure,
    screening_info,
)
from perfkit.report.page import PageFigure, PageSection
from perfkit.report.plain_table import PlainTable
from perfkit.report.selection import StudyRecords
from perfkit.report.status import only_screened
from perfkit.report.tables import SCREENED_HEADERS, screened_table
from perfkit.report.thinning import shortlist
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import count_text


@dataclass(frozen=True)
class SearchNotes:
    """What the records of a search do not hold.

    Attributes
    ----------
    not_tried
        One sentence for each step that was left undone, with the reason.
    not_installed
        One sentence for each allocator that the machine lacks, with what to install.
    """

    not_tried: tuple[str, ...] = ()
    not_installed: tuple[str, ...] = ()


def search_section(
    study: StudyRecords, recommendation: Recommendation, notes: SearchNotes
) -> PageSection:
    """What a search looked at and what it showed; without content where nothing was searched.

    Parameters
    ----------
    study
        Records of the study.
    recommendation
        Recommendation from these records.
    notes
        What the records do not hold.
    """
    looked = looked_info(study.ranked, recommendation)
    figures = []
    if looked.total > sum(looked.failed.values()):
        caption = "A configuration counts in every step that it reached; stock is not counted."
        figures.append(PageFigure("Configurations looked at", caption, looked_figure(looked)))
    screening = screening_info(study.screened, recommendation)
    if screening is not None:
        heading, caption = f"Screening ({screening.where})", _screening_caption(screening)
        figures.append(PageFigure(heading, caption, screening_figure(screening)))
    return PageSection(
        "Search",
        lead=looked_sentence(looked),
        figures=tuple(figures),
        plain=(
            *_screened_table(recommendation),
            *_list_table("Not tried", "what and why", notes.not_tried),
            *_list_table("Not installed", "what is missing", notes.not_installed),
        ),
    )


def _screening_caption(info: ScreeningInfo) -> str:
    if info.where == SHALLOW:
        caption = (
            "Ratios of passes in turns on a shallow network, which has fewer of the identical "
            "blocks. They choose what is confirmed on the whole network, and are no times of a "
            "prediction."
        )
    else:
        caption = "Ratios of passes in turns of programs that share a process."
    if info.left_out:
        left_out = count_text(info.left_out, "configuration")
        caption += f" {left_out} with smaller gains are only in the table below."
    return caption


def _screened_table(recommendation: Recommendation) -> tuple[PlainTable, ...]:
    shown = screened_table(shortlist(recommendation).recommendation)
    if not shown:
        return ()
    total = sum(only_screened(row) for row in recommendation.rows)
    heading = f"{count_text(total, 'configuration')} that screening did not choose"
    if len(shown) < total:
        heading += f" (the {len(shown)} with the largest gains)"
    return (PlainTable(heading, SCREENED_HEADERS, shown, folded=True),)


def _list_table(heading: str, header: str, sentences: Sequence[str]) -> tuple[PlainTable, ...]:
    if not sentences:
        return ()
    return (PlainTable(heading, (header,), tuple((sentence,) for sentence in sentences)),)

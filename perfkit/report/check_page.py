"""The page of a plan against what happened."""

from __future__ import annotations

from perfkit.capacity.check.check import Check
from perfkit.capacity.laws.assemble import MEMORY, TIME
from perfkit.report.check_tables import ahead_table, check_sentence, ended_table, group_table
from perfkit.report.figures.capacity.actual import actual_figure, actual_info
from perfkit.report.page import PageContent, PageFigure, PageSection, render_page
from perfkit.report.plain_table import PlainTable
from perfkit.report.plan_page import MOST_ROWS


def check_page(check: Check) -> str:
    """Render the page of a check as a self-contained HTML document."""
    return render_page(
        PageContent(
            title="a plan against what happened",
            sentence=f"{check_sentence(check)}.",
            warnings=check.notices,
            sections=(
                _ended_section(check),
                PageSection("Ahead", plain=_with_rows(ahead_table(check))),
                PageSection("Correction", plain=(group_table(check),)),
            ),
        )
    )


def _ended_section(check: Check) -> PageSection:
    figures = []
    for quantity in (TIME, MEMORY):
        info = actual_info(check, quantity)
        if info.rows:
            hidden = f" {info.hidden} jobs nearer to it are not shown." if info.hidden else ""
            caption = f"Dots are finished jobs, bars their predicted intervals.{hidden}"
            heading = f"Measured {quantity} over predicted"
            figures.append(PageFigure(heading, caption, actual_figure(info)))
    return PageSection("Ended", figures=tuple(figures), plain=_with_rows(ended_table(check)))


def _with_rows(table: PlainTable) -> tuple[PlainTable, ...]:
    """The table with its first rows, none if it has no rows."""
    shown = PlainTable(table.heading, table.headers, table.rows[:MOST_ROWS])
    return (shown,) if shown.rows else ()

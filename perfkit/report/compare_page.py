"""The page of a comparison: before and after an upgrade, two presets, or two machines."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.history.comparison import Comparison, Row
from perfkit.history.snapshot import Entry
from perfkit.history.verdicts import QUIET
from perfkit.records.schema import Record
from perfkit.report import facts
from perfkit.report.figures.compared.changes import changes_figure, changes_info
from perfkit.report.figures.compared.sides import (
    NEW,
    OLD,
    Side,
    SidesInfo,
    sides_figure,
    sides_info,
)
from perfkit.report.page import Facts, PageContent, PageFigure, PageSection, render_page
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.units import bytes_text, count_text, ratio_text, seconds_text

MOST_ROWS = 1000
"""Most rows of a table."""

HEADERS = ("measurement", OLD, NEW, "new / old", "verdict")


def compare_page(
    comparisons: Sequence[Comparison],
    old: Sequence[Record] = (),
    new: Sequence[Record] = (),
    skipped: Sequence[str] = (),
) -> str:
    """Render the page of a comparison as a self-contained HTML document.

    Parameters
    ----------
    comparisons
        Snapshots, compared: one comparison per machine and environment.
    old, new
        The records behind the snapshots; empty for results of asv. They show configurations that
        only one side measured, as when two presets are compared, next to each other.
    skipped
        One sentence per line or file that could not be read.
    """
    first = comparisons[0]
    sides = sides_info(old, new)
    return render_page(
        PageContent(
            title=f"{first.old.label} compared with {first.new.label}",
            subtitle=_subtitle(comparisons),
            sentence=" ".join(_sentence(comparison) for comparison in comparisons),
            notices=facts.notices([*old, *new]),
            warnings=(
                *(
                    f"not the same setting, {difference}"
                    for comparison in comparisons
                    for difference in comparison.differences
                ),
                *facts.skipped_warnings("line", skipped),
            ),
            sections=(
                *(() if sides is None else (_sides_section(sides),)),
                *(_changes_section(comparison, len(comparisons)) for comparison in comparisons),
                PageSection(
                    "Evidence",
                    facts=tuple(
                        Facts(f"{name}: {snapshot.label}", tuple(snapshot.metadata.items()))
                        for comparison in comparisons
                        for name, snapshot in ((OLD, comparison.old), (NEW, comparison.new))
                    ),
                ),
            ),
        )
    )


def _subtitle(comparisons: Sequence[Comparison]) -> str:
    common = sum(len(comparison.common) for comparison in comparisons)
    return f"{count_text(common, 'measurement')} in common"


def _sentence(comparison: Comparison) -> str:
    if not comparison.common:
        return "The two have no measurement in common: nothing is judged, see the times below."
    sentence = comparison.sentence()
    return f"{sentence[0].upper()}{sentence[1:]}."


def _sides_section(info: SidesInfo) -> PageSection:
    caption = (
        "Median steady time in the old and in the new folder, and new over old. Different machines "
        "are shown, but not judged; pairs that ran in turns in one study compare more sharply."
    )
    headers = (
        "workload",
        "configuration",
        f"time, {OLD}",
        f"time, {NEW}",
        "new / old",
        f"memory, {OLD}",
        f"memory, {NEW}",
        f"agreement, {OLD}",
        f"agreement, {NEW}",
    )
    rows = tuple(
        (
            row.workload,
            row.label,
            _time_text(row.old),
            _time_text(row.new),
            NOTHING if row.ratio is None else ratio_text(row.ratio),
            *(bytes_text(s.peak_rss_bytes) if s else NOTHING for s in (row.old, row.new)),
            *((s.agreement if s else "") or NOTHING for s in (row.old, row.new)),
        )
        for row in info.rows[:MOST_ROWS]
    )
    return PageSection(
        "Side by side",
        figures=(PageFigure("Time of each configuration", caption, sides_figure(info)),),
        plain=(PlainTable("All configurations", headers, rows),),
    )


def _changes_section(comparison: Comparison, count: int) -> PageSection:
    """Changes of one machine, which is named if there are several."""
    machine = comparison.new.metadata.get("machine", "")
    info = changes_info(comparison)
    figures: tuple[PageFigure, ...] = ()
    if info is not None:
        caption = "Ratios with their 95 % intervals, where the measurements support one."
        if info.left_out:
            caption += f" {info.left_out} more are in the table."
        figures = (PageFigure("Times and memory", caption, changes_figure(info)),)
    loud = [row for row in comparison.rows if row.verdict not in QUIET]
    quiet = [row for row in comparison.rows if row.verdict in QUIET]
    tables = []
    if loud:
        tables.append(PlainTable("Changed", HEADERS, tuple(map(_cells, loud[:MOST_ROWS]))))
    if quiet:
        rows = tuple(map(_cells, quiet[:MOST_ROWS]))
        heading = f"{count_text(len(quiet), 'measurement')} unchanged, or on one side only"
        tables.append(PlainTable(heading, HEADERS, rows, folded=True))
    heading = f"Changes on {machine}" if count > 1 and machine else "Changes"
    return PageSection(heading, figures=figures, plain=tuple(tables))


def _cells(row: Row) -> tuple[str, ...]:
    reason = f": {row.entry.reason}" if row.entry.reason else ""
    return (
        row.name,
        _entry_text(row.old),
        _entry_text(row.new),
        NOTHING if row.ratio is None else ratio_text(row.ratio),
        f"{row.verdict}{reason}",
    )


def _entry_text(entry: Entry | None) -> str:
    return NOTHING if entry is None else entry.text


def _time_text(side: Side | None) -> str:
    return NOTHING if side is None else seconds_text(side.time_s)

"""The schedule of a plan: one row per machine, one bar per job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.queue.pack import Placement
from perfkit.capacity.queue.plan import Plan
from perfkit.report.plan_tables import time_text
from perfkit.report.style import GREY, SERIES, labelled_rows, shortened, styled
from perfkit.units import HOUR_S, seconds_text

MOST_ROWS = 40
"""Most machines in the figure. With more, the bars are too thin to see."""

MOST_BARS = 4000
"""Most bars in the figure. A browser takes seconds to draw more."""

BARS_SHARE = 0.9
"""Height of the bars of a machine that is in full use, as a share of its row."""

BAR_PX = 4.0
"""Height that a bar should have at least, in pixels."""

ROW_PX, MOST_ROW_PX = 44.0, 160.0
"""Bounds on the height of a row, in pixels."""

SEARCHES = "genetic searches, as stated"
"""Name of the series of genetic searches."""


class Bar(NamedTuple):
    """One job, or its genetic search.

    Attributes
    ----------
    row
        Row of its machine.
    offset, height
        Position and height in the row, as shares of the machine from 0 to 1.
    begin_h, end_h
        Begin and end, hours from the start of the plan.
    colour
        Index of its preset; the number of presets for a genetic search.
    text
        Hover label.
    """

    row: int
    offset: float
    height: float
    begin_h: float
    end_h: float
    colour: int
    text: str


class GanttInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    bars
        One bar per job.
    rows
        Names of the machines from top to bottom.
    presets
        Models with the numbers of their presets; the genetic searches, if any, at the end.
    hidden_machines, hidden_jobs
        Numbers of machines and jobs that the figure leaves out.
    """

    bars: tuple[Bar, ...]
    rows: tuple[str, ...]
    presets: tuple[str, ...]
    hidden_machines: int
    hidden_jobs: int


def gantt_info(plan: Plan) -> GanttInfo:
    """The machines in use, in the inventory's order, and their jobs."""
    nodes = sorted({(each.kind, each.node) for each in plan.packing.placements})
    shown = {node: row for row, node in enumerate(nodes[:MOST_ROWS])}
    names = [plan.inventory.machines[kind].name for kind, _ in shown]
    bars = [
        _bar(
            shown,
            each.placement,
            each.option.fit,
            f"{each.job.name}: {time_text(each.option.time)} on {each.cpus} CPUs",
        )
        for each in plan.jobs
    ]
    bars += [
        _bar(
            shown,
            each.search.placement,
            len(plan.fits),
            f"genetic search of {each.job.name}: {seconds_text(each.search.search.seconds)} on "
            f"{each.search.search.cpus} CPUs",
        )
        for each in plan.jobs
        if each.search is not None
    ]
    drawn = [bar for bar in bars if bar is not None]
    return GanttInfo(
        bars=tuple(drawn[:MOST_BARS]),
        rows=tuple(f"{name} {node + 1}" for name, (_, node) in zip(names, shown, strict=True)),
        presets=(
            *(f"{fit.model}, preset {number}" for number, fit in enumerate(plan.fits, 1)),
            *([SEARCHES] if plan.searches else []),
        ),
        hidden_machines=len(nodes) - len(shown),
        hidden_jobs=len(bars) - min(len(drawn), MOST_BARS),
    )


def _bar(
    shown: Mapping[tuple[int, int], int], placement: Placement, colour: int, text: str
) -> Bar | None:
    """The bar of a task, None on a machine that is not shown."""
    row = shown.get((placement.kind, placement.node))
    if row is None:
        return None
    return Bar(
        row=row,
        offset=placement.slot / placement.instances,
        height=1 / placement.instances,
        begin_h=placement.begin_s / HOUR_S,
        end_h=placement.end_s / HOUR_S,
        colour=colour,
        text=text,
    )


def _row_px(bars: Sequence[Bar]) -> float:
    """Height of a row in pixels: enough for the thinnest bar, within bounds."""
    thinnest = min((bar.height for bar in bars), default=1.0)
    return min(MOST_ROW_PX, max(ROW_PX, BAR_PX / (BARS_SHARE * thinnest)))


def _gap_px(bar: Bar, row_px: float) -> float:
    """Width of the white line around a bar, which would hide a thin one."""
    return 1.0 if BARS_SHARE * bar.height * row_px > 2 * BAR_PX else 0.0


def gantt_figure(info: GanttInfo) -> go.Figure:
    """One bar per job in the colour of its preset. Its height is the share of the machine."""
    figure = go.Figure()
    row_px = _row_px(info.bars)
    for colour, preset in enumerate(info.presets):
        own = [bar for bar in info.bars if bar.colour == colour]
        if not own:
            continue
        figure.add_trace(
            go.Bar(
                base=[bar.begin_h for bar in own],
                x=[bar.end_h - bar.begin_h for bar in own],
                y=[
                    bar.row - BARS_SHARE / 2 + BARS_SHARE * (bar.offset + bar.height / 2)
                    for bar in own
                ],
                width=[BARS_SHARE * bar.height for bar in own],
                orientation="h",
                name=shortened(preset, 70),
                marker={
                    "color": GREY if preset == SEARCHES else SERIES[colour % len(SERIES)],
                    "line": {"color": "white", "width": [_gap_px(bar, row_px) for bar in own]},
                },
                hovertext=[shortened(bar.text, 120) for bar in own],
                hoverinfo="text",
            )
        )
    styled(figure, 120 + row_px * len(info.rows))
    figure.update_layout(barmode="overlay", showlegend=True)
    figure.update_xaxes(title_text="hours from the start", rangemode="tozero")
    return labelled_rows(figure, [shortened(row) for row in info.rows])

"""The schedule of a plan: one row per machine, one bar per job."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.queue.plan import Plan
from perfkit.report.plan_tables import time_text
from perfkit.report.style import SERIES, labelled_rows, shortened, styled
from perfkit.units import HOUR_S

MOST_ROWS = 40
"""Most machines in the figure. With more, the bars are too thin to see."""

MOST_BARS = 4000
"""Most bars in the figure. A browser takes seconds to draw more."""


class Bar(NamedTuple):
    """One job.

    Attributes
    ----------
    row
        Row of its machine.
    offset, height
        Position and height in the row, as shares of the machine from 0 to 1.
    begin_h, end_h
        Begin and end, hours from the start of the plan.
    colour
        Index of its preset.
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
        Models with their presets.
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
    nodes = sorted({(each.placement.kind, each.placement.node) for each in plan.jobs})
    shown = {node: row for row, node in enumerate(nodes[:MOST_ROWS])}
    names = [plan.inventory.machines[kind].name for kind, _ in shown]
    bars = [
        Bar(
            row=shown[each.placement.kind, each.placement.node],
            offset=each.placement.slot / each.placement.instances,
            height=1 / each.placement.instances,
            begin_h=each.placement.begin_s / HOUR_S,
            end_h=each.placement.end_s / HOUR_S,
            colour=each.option.fit,
            text=f"{each.job.name}: {time_text(each.option.time)} on {each.cpus} CPUs",
        )
        for each in plan.jobs
        if (each.placement.kind, each.placement.node) in shown
    ]
    return GanttInfo(
        bars=tuple(bars[:MOST_BARS]),
        rows=tuple(f"{name} {node + 1}" for name, (_, node) in zip(names, shown, strict=True)),
        presets=tuple(f"{fit.model}: {fit.label}" for fit in plan.fits),
        hidden_machines=len(nodes) - len(shown),
        hidden_jobs=len(plan.jobs) - min(len(bars), MOST_BARS),
    )


def gantt_figure(info: GanttInfo) -> go.Figure:
    """One bar per job in the colour of its preset. Its height is the share of the machine."""
    figure = go.Figure()
    for colour, preset in enumerate(info.presets):
        own = [bar for bar in info.bars if bar.colour == colour]
        if not own:
            continue
        figure.add_trace(
            go.Bar(
                base=[bar.begin_h for bar in own],
                x=[bar.end_h - bar.begin_h for bar in own],
                y=[bar.row - 0.45 + 0.9 * (bar.offset + bar.height / 2) for bar in own],
                width=[0.9 * bar.height for bar in own],
                orientation="h",
                name=shortened(preset, 70),
                marker={
                    "color": SERIES[colour % len(SERIES)],
                    "line": {"color": "white", "width": 1},
                },
                hovertext=[shortened(bar.text, 120) for bar in own],
                hoverinfo="text",
            )
        )
    styled(figure, 120 + 44 * len(info.rows))
    figure.update_layout(barmode="overlay", showlegend=True)
    figure.update_xaxes(title_text="hours from the start", rangemode="tozero")
    return labelled_rows(figure, [shortened(row) for row in info.rows])

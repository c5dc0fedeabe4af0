"""Memory and CPU use of trials over time, with their stages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perfkit.records.schema import Outcome, Record, Samples
from perfkit.report.figures.stages import STAGE_COLOURS
from perfkit.report.status import Status
from perfkit.report.style import BLUE, GREY, ORANGE, shortened, styled
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.rows import Row
from perfkit.units import GIGA

LABELLED_SHARE = 0.05
"""Smallest share of the trial from which a stage is wide enough for its name."""


class StageBand(NamedTuple):
    """One stage.

    Attributes
    ----------
    name
        Name of the stage.
    begin_s, end_s
        Begin and end, seconds since the trial began.
    """

    name: str
    begin_s: float
    end_s: float


class TimelinePanel(NamedTuple):
    """One trial over time.

    Attributes
    ----------
    title
        Title of the panel.
    time_s
        Times of the memory samples, seconds since the trial began, shape (samples,).
    rss_bytes
        Resident memory in bytes, shape (samples,).
    utilisation_time_s
        Times at which intervals between samples end, shape (intervals,).
    utilisation
        Mean share of the allowed CPUs in use over each interval, from 0 to 1, shape (intervals,).
    stages
        Stages of the trial.
    """

    title: str
    time_s: tuple[float, ...]
    rss_bytes: tuple[int, ...]
    utilisation_time_s: tuple[float, ...]
    utilisation: tuple[float, ...]
    stages: tuple[StageBand, ...]


class TimelineInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    panels
        Panels for stock and for the recommended configuration, if they have samples.
    """

    panels: tuple[TimelinePanel, ...]


def timeline_info(records: Sequence[Record], recommendation: Recommendation) -> TimelineInfo:
    """The last successful trial with samples of stock and of the recommended configuration."""
    stock, best = recommendation.stock, recommendation.best
    wanted: list[tuple[str, Row]] = []
    if stock is not None:
        wanted.append((Status.STOCK.value, stock))
    if best is not None and (stock is None or best.digest != stock.digest):
        wanted.append((Status.RECOMMENDED.value, best))
    panels = []
    for title, row in wanted:
        sampled = [
            (record, record.samples)
            for record in records
            if record.configuration.digest == row.digest
            and record.samples is not None
            and len(record.samples.time_s) > 1
        ]
        if sampled:
            good = [pair for pair in sampled if pair[0].outcome is Outcome.OK]
            panels.append(_panel(title, *(good or sampled)[-1]))
    return TimelineInfo(tuple(panels))


def _panel(title: str, record: Record, samples: Samples) -> TimelinePanel:
    times, used = [], []
    moments = zip(samples.time_s, samples.cpu_s, strict=True)
    for (before_s, cpu_before_s), (after_s, cpu_after_s) in pairwise(moments):
        if after_s > before_s:
            times.append(after_s)
            # The sum loses the CPU seconds of a child process that ends.
            spent_s = max(0.0, cpu_after_s - cpu_before_s)
            used.append(spent_s / ((after_s - before_s) * record.allowed_cpus))
    bands = (
        StageBand(stage.name, stage.begin_s, stage.begin_s + stage.wall_s)
        for stage in record.stages
    )
    return TimelinePanel(
        title,
        tuple(samples.time_s),
        tuple(samples.rss_bytes),
        tuple(times),
        tuple(used),
        tuple(bands),
    )


def timeline_figure(info: TimelineInfo) -> go.Figure:
    """One column per trial: memory above, CPU use below. Stages are shaded bands."""
    count = len(info.panels)
    figure = make_subplots(
        rows=2,
        cols=count,
        shared_xaxes=True,
        shared_yaxes=True,
        vertical_spacing=0.08,
        horizontal_spacing=0.04,
        column_titles=[f"<b>{panel.title}</b>" for panel in info.panels],
    )
    # The titles move up to leave room for the names of the stages.
    figure.update_annotations(yshift=18)
    shapes: list[dict[str, object]] = []
    names: list[dict[str, object]] = []
    for column, panel in enumerate(info.panels, start=1):
        figure.add_trace(
            go.Scatter(
                x=panel.time_s,
                y=[value / GIGA for value in panel.rss_bytes],
                mode="lines",
                line={"color": BLUE, "width": 1.8},
                hovertemplate="%{x:.1f} s: %{y:.2f} GB<extra></extra>",
            ),
            row=1,
            col=column,
        )
        figure.add_trace(
            go.Scatter(
                x=panel.utilisation_time_s,
                y=[100 * value for value in panel.utilisation],
                mode="lines",
                line={"color": ORANGE, "width": 1.2},
                hovertemplate="%{x:.1f} s: %{y:.0f} %<extra></extra>",
            ),
            row=2,
            col=column,
        )
        shapes += _bands(panel, column, count)
        names += _band_names(panel, column)
    styled(figure, 430)
    figure.update_layout(
        showlegend=False,
        margin={"t": 58},
        shapes=shapes,
        annotations=[*figure.layout.annotations, *names],
    )
    figure.update_xaxes(title_text="seconds since the trial began", row=2)
    figure.update_yaxes(title_text="resident memory, GB", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="CPU use, %", rangemode="tozero", row=2, col=1)
    return figure


def _bands(panel: TimelinePanel, column: int, columns: int) -> list[dict[str, object]]:
    """One shaded rectangle per stage in both rows. plotly numbers the axes row by row."""
    return [
        {
            "type": "rect",
            "xref": f"x{_axis_suffix(axis)}",
            "yref": f"y{_axis_suffix(axis)} domain",
            "x0": band.begin_s,
            "x1": band.end_s,
            "y0": 0,
            "y1": 1,
            "fillcolor": STAGE_COLOURS.get(band.name, GREY),
            "opacity": 0.16,
            "line": {"width": 0},
            "layer": "below",
        }
        for band in panel.stages
        for axis in (column, columns + column)
    ]


def _band_names(panel: TimelinePanel, column: int) -> list[dict[str, object]]:
    """Names above the first band of every stage that is wide enough."""
    least_s = LABELLED_SHARE * (panel.time_s[-1] - panel.time_s[0])
    wide = {
        band.name: band for band in reversed(panel.stages) if band.end_s - band.begin_s > least_s
    }
    return [
        {
            "x": (band.begin_s + band.end_s) / 2,
            "y": 1,
            "xref": f"x{_axis_suffix(column)}",
            "yref": f"y{_axis_suffix(column)} domain",
            "yanchor": "bottom",
            "text": shortened(band.name),
            "showarrow": False,
            "font": {"size": 11},
        }
        for band in wide.values()
    ]


def _axis_suffix(number: int) -> str:
    """Suffix in plotly's names of axes: the first axis is ``x``, the second ``x2``."""
    return "" if number == 1 else str(number)

"""Memory and CPU use of a trial over time, its stages laid over."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perfkit.records.schema import Outcome, Record, Samples
from perfkit.report.figures.stages import STAGE_COLOURS
from perfkit.report.standing import Standing
from perfkit.report.style import BLUE, GIGABYTE, GREY, ORANGE, shortened, styled
from perfkit.tune.recommend import Recommendation
from perfkit.tune.rows import Row

LABELLED_SHARE = 0.05
"""A band narrower than this share of the trial has no room for its name."""


class StageBand(NamedTuple):
    """A stage on the trial's clock, in seconds."""

    name: str
    begin_s: float
    end_s: float


class TimelinePanel(NamedTuple):
    """One trial over time.

    ``rss_bytes`` stands at ``time_s``; ``utilisation`` (1 is all allowed CPUs) is the mean from
    the sample before to that at ``utilisation_time_s``.
    """

    title: str
    time_s: tuple[float, ...]
    rss_bytes: tuple[int, ...]
    utilisation_time_s: tuple[float, ...]
    utilisation: tuple[float, ...]
    stages: tuple[StageBand, ...]


class TimelineInfo(NamedTuple):
    """A panel for stock and one for the recommended configuration, as far as there are samples."""

    panels: tuple[TimelinePanel, ...]


def timeline_info(records: Sequence[Record], recommendation: Recommendation) -> TimelineInfo:
    """The last sampled good trial of stock and of the recommended configuration."""
    stock, best = recommendation.stock, recommendation.best
    wanted: list[tuple[str, Row]] = []
    if stock is not None:
        wanted.append((Standing.STOCK.value, stock))
    if best is not None and (stock is None or best.digest != stock.digest):
        wanted.append((Standing.RECOMMENDED.value, best))
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
            # A child process that ends takes its CPU seconds out of the sum.
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
    """Memory above, CPU use below, a column a trial; stages are shaded bands."""
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
    # The names of the stages stand between a title and its panel.
    figure.update_annotations(yshift=18)
    shapes: list[dict[str, object]] = []
    names: list[dict[str, object]] = []
    for column, panel in enumerate(info.panels, start=1):
        figure.add_trace(
            go.Scatter(
                x=panel.time_s,
                y=[value / GIGABYTE for value in panel.rss_bytes],
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
    """A shaded rectangle a stage in both rows; plotly counts the axes row by row."""
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
    """The name above the first band of each stage that is wide enough."""
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
    """Plotly calls its first axis ``x``, its second ``x2``."""
    return "" if number == 1 else str(number)

"""Time against memory of each configuration, coloured by utilisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.status import Status, status_of
from perfkit.report.style import BLACK, GREY, MARKS, spread_axis, styled, wrapped
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import GIGA, bytes_text, percent_text, seconds_text

POSSIBLE = (Status.RECOMMENDED, Status.STOCK, Status.AGREES)
"""Statuses of configurations that may be recommended."""


class TimeMemoryPoint(NamedTuple):
    """One configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    time_s
        Median steady seconds.
    peak_rss_bytes
        Largest resident set in bytes.
    utilisation
        Share of the allowed CPUs in use, from 0 to 1.
    status
        Status of the configuration in the study.
    """

    label: str
    time_s: float
    peak_rss_bytes: int
    utilisation: float
    status: Status


class TimeMemoryInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    points
        Configurations with a measured time and utilisation, in the recommendation's order.
    front
        Seconds and peak bytes of the configurations on the front of time and memory, fastest first:
        those that the recommendation holds, or else the points that may be recommended and that no
        other such point beats in both.
    """

    points: tuple[TimeMemoryPoint, ...]
    front: tuple[tuple[float, int], ...] = ()


def time_memory_info(recommendation: Recommendation) -> TimeMemoryInfo:
    """Time, memory and utilisation of every configuration with a measured time."""
    points = tuple(
        TimeMemoryPoint(
            row.label,
            row.time_s.median,
            row.peak_rss_bytes,
            row.utilisation,
            status_of(row, recommendation.best),
        )
        for row in recommendation.rows
        if row.time_s is not None and row.utilisation is not None
    )
    asked = tuple(
        (row.time_s.median, row.peak_rss_bytes)
        for row in recommendation.front
        if row.time_s is not None
    )
    return TimeMemoryInfo(points, asked or _front_of(points))


def _front_of(points: Sequence[TimeMemoryPoint]) -> tuple[tuple[float, int], ...]:
    """The points of which no other is both faster and smaller, fastest first."""
    possible = sorted(
        (point.time_s, point.peak_rss_bytes)
        for point in points
        if point.status in POSSIBLE and point.peak_rss_bytes
    )
    front: list[tuple[float, int]] = []
    for time_s, peak_rss_bytes in possible:
        if not front or peak_rss_bytes < front[-1][1]:
            front.append((time_s, peak_rss_bytes))
    return tuple(front)


def time_memory_figure(info: TimeMemoryInfo) -> go.Figure:
    """One dot per configuration. Its shape is the status, its colour the utilisation."""
    figure = go.Figure()
    if len(info.front) > 1:
        figure.add_trace(
            go.Scatter(
                x=[time_s for time_s, _ in info.front],
                y=[peak_rss_bytes / GIGA for _, peak_rss_bytes in info.front],
                mode="lines",
                name="front",
                # Up to the time of the next point, the memory is that of the point before.
                line={"color": GREY, "dash": "dot", "shape": "hv"},
                hoverinfo="skip",
            )
        )
    for status, mark in MARKS.items():
        chosen = [point for point in info.points if point.status is status]
        if not chosen:
            continue
        figure.add_trace(
            go.Scatter(
                x=[point.time_s for point in chosen],
                y=[point.peak_rss_bytes / GIGA for point in chosen],
                mode="markers",
                name=status.value,
                marker={
                    "symbol": mark.symbol.removesuffix("-open"),
                    "size": 13,
                    "color": [100 * point.utilisation for point in chosen],
                    "coloraxis": "coloraxis",
                    "line": {"color": BLACK, "width": 1},
                },
                hovertext=[_hover(point) for point in chosen],
                hoverinfo="text",
            )
        )
    styled(figure, 400)
    figure.update_layout(
        coloraxis={
            "colorscale": "Cividis",
            "cmin": 0,
            "cmax": 100,
            "colorbar": {
                "title": {"text": "CPUs<br>used, %", "font": {"size": 13}},
                "thickness": 14,
            },
        },
        legend={"font": {"size": 12}},
    )
    times_s = [point.time_s for point in info.points]
    figure.update_xaxes(title_text="seconds per pass (median)", **spread_axis(times_s))
    figure.update_yaxes(title_text="peak resident memory, GB", rangemode="tozero")
    return figure


def _hover(point: TimeMemoryPoint) -> str:
    facts = (
        seconds_text(point.time_s),
        bytes_text(point.peak_rss_bytes),
        f"{percent_text(point.utilisation)} of the CPUs",
    )
    return f"{wrapped(point.label)}<br>{point.status}<br>{', '.join(facts)}"

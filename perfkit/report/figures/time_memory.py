"""Time against memory of each configuration, coloured by utilisation."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.standing import Standing, standing_of
from perfkit.report.style import BLACK, GIGABYTE, MARKS, spread_axis, styled, wrapped
from perfkit.tune.recommend import Recommendation
from perfkit.units import bytes_text, percent_text, seconds_text


class TimeMemoryPoint(NamedTuple):
    """Median steady seconds, peak bytes, and utilisation from 0 to 1 of one configuration."""

    label: str
    time_s: float
    peak_rss_bytes: int
    utilisation: float
    standing: Standing


class TimeMemoryInfo(NamedTuple):
    """One point a configuration that has a time."""

    points: tuple[TimeMemoryPoint, ...]


def time_memory_info(recommendation: Recommendation) -> TimeMemoryInfo:
    """Time, memory and utilisation of every configuration that was timed."""
    return TimeMemoryInfo(
        tuple(
            TimeMemoryPoint(
                row.label,
                row.time_s.median,
                row.peak_rss_bytes,
                row.utilisation,
                standing_of(row, recommendation.best),
            )
            for row in recommendation.rows
            if row.time_s is not None and row.utilisation is not None
        )
    )


def time_memory_figure(info: TimeMemoryInfo) -> go.Figure:
    """A scatter of time and memory; the shape is the standing, the colour the utilisation."""
    figure = go.Figure()
    for standing, mark in MARKS.items():
        chosen = [point for point in info.points if point.standing is standing]
        if not chosen:
            continue
        figure.add_trace(
            go.Scatter(
                x=[point.time_s for point in chosen],
                y=[point.peak_rss_bytes / GIGABYTE for point in chosen],
                mode="markers+text",
                name=standing.value,
                text=[standing.value if standing in (Standing.STOCK, Standing.RECOMMENDED) else ""]
                * len(chosen),
                textposition="top center",
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
    figure.update_xaxes(title_text="seconds a pass (median)", **spread_axis(times_s))
    figure.update_yaxes(title_text="peak resident memory, GB", rangemode="tozero")
    return figure


def _hover(point: TimeMemoryPoint) -> str:
    facts = (
        seconds_text(point.time_s),
        bytes_text(point.peak_rss_bytes),
        f"{percent_text(point.utilisation)} of the CPUs",
    )
    return f"{wrapped(point.label)}<br>{point.standing}<br>{', '.join(facts)}"

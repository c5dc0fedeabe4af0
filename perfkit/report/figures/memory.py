"""Peak memory of each configuration."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.standing import Standing, standing_of
from perfkit.report.style import GIGABYTE, MARKS, labelled_rows, rows_height_px, styled, wrapped
from perfkit.tune.recommend import Recommendation
from perfkit.units import bytes_text


class MemoryRow(NamedTuple):
    """Largest resident set of one configuration, in bytes."""

    label: str
    peak_rss_bytes: int
    standing: Standing


class MemoryInfo(NamedTuple):
    """Rows in the recommendation's order, those without a peak left out."""

    rows: tuple[MemoryRow, ...]


def memory_info(recommendation: Recommendation) -> MemoryInfo:
    """Peak memory of every configuration that got so far as to have one."""
    return MemoryInfo(
        tuple(
            MemoryRow(row.label, row.peak_rss_bytes, standing_of(row, recommendation.best))
            for row in recommendation.rows
            if row.peak_rss_bytes > 0
        )
    )


def memory_figure(info: MemoryInfo) -> go.Figure:
    """A horizontal bar a configuration, hatched where it may not be recommended."""
    labels = [wrapped(row.label) for row in info.rows]
    unusable = (Standing.DISAGREES, Standing.FAILED, Standing.INTERRUPTED)
    figure = go.Figure()
    for standing, mark in MARKS.items():
        chosen = [(place, row) for place, row in enumerate(info.rows) if row.standing is standing]
        if not chosen:
            continue
        figure.add_trace(
            go.Bar(
                x=[row.peak_rss_bytes / GIGABYTE for _, row in chosen],
                y=[place for place, _ in chosen],
                orientation="h",
                name=standing.value,
                width=0.6,
                marker={
                    "color": mark.colour,
                    "pattern": {"shape": "/" if standing in unusable else ""},
                },
                text=[bytes_text(row.peak_rss_bytes) for _, row in chosen],
                textposition="outside",
                cliponaxis=False,
                hovertext=[
                    f"{wrapped(row.label)}<br>{bytes_text(row.peak_rss_bytes)}" for _, row in chosen
                ],
                hoverinfo="text",
            )
        )
    styled(figure, rows_height_px(labels))
    labelled_rows(figure, labels)
    figure.update_layout(margin={"r": 60})
    figure.update_xaxes(title_text="peak resident memory, GB", rangemode="tozero")
    return figure

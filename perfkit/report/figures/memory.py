"""Peak memory of each configuration."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.names import Names
from perfkit.report.status import Status, status_of
from perfkit.report.style import MARKS, ROW_SHARE, headed_rows, styled, wrapped
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import GIGA, bytes_text


class MemoryRow(NamedTuple):
    """One configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    name
        Its short name, see :class:`perfkit.report.names.Names`.
    peak_rss_bytes
        Largest resident set of the process tree in any trial, in bytes.
    status
        Status of the configuration in the study.
    """

    label: str
    name: str
    peak_rss_bytes: int
    status: Status


class MemoryInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        Configurations with a known peak, in the recommendation's order.
    """

    rows: tuple[MemoryRow, ...]


def memory_info(recommendation: Recommendation) -> MemoryInfo:
    """Peak memory of every configuration for which it was measured."""
    names = Names.of(recommendation)
    return MemoryInfo(
        tuple(
            MemoryRow(
                row.label,
                names[row.digest],
                row.peak_rss_bytes,
                status_of(row, recommendation.best),
            )
            for row in recommendation.rows
            if row.peak_rss_bytes > 0
        )
    )


def memory_figure(info: MemoryInfo) -> go.Figure:
    """One horizontal bar per configuration, hatched if it cannot be recommended."""
    labels = [wrapped(row.name) for row in info.rows]
    unusable = (Status.DISAGREES, Status.FAILED, Status.INTERRUPTED)
    figure = go.Figure()
    for status, mark in MARKS.items():
        chosen = [(index, row) for index, row in enumerate(info.rows) if row.status is status]
        if not chosen:
            continue
        figure.add_trace(
            go.Bar(
                x=[row.peak_rss_bytes / GIGA for _, row in chosen],
                y=[index for index, _ in chosen],
                orientation="h",
                name=status.value,
                width=ROW_SHARE,
                marker={
                    "color": mark.colour,
                    "pattern": {"shape": "/" if status in unusable else ""},
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
    headed_rows(styled(figure), labels)
    figure.update_layout(margin={"r": 60})
    figure.update_xaxes(title_text="peak resident memory, GB", rangemode="tozero")
    return figure

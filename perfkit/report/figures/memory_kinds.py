"""Resident memory over time by kind, and peak memory by observer."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.memory import MemoryResult
from perfkit.observers.reading import found
from perfkit.records.schema import Record
from perfkit.report.profile.summary import memory_peaks
from perfkit.report.style import (
    BLACK,
    BLUE,
    ORANGE,
    PURPLE,
    ROW_SHARE,
    SKY,
    headed_rows,
    styled,
    wrapped,
)
from perfkit.units import GIGA, bytes_text


class MemoryKindsInfo(NamedTuple):
    """Data of the figure over time.

    Attributes
    ----------
    time_s
        Times of the samples of ``kinds``, seconds since the trial began.
    kinds
        Resident bytes by kind of memory, each as long as ``time_s``.
    rollup_time_s
        Times of the less frequent samples of ``rollup``, seconds since the trial began.
    rollup
        Proportional set and huge pages in bytes, each as long as ``rollup_time_s``.
    """

    time_s: tuple[float, ...]
    kinds: dict[str, tuple[int, ...]]
    rollup_time_s: tuple[float, ...]
    rollup: dict[str, tuple[int, ...]]


class PeaksInfo(NamedTuple):
    """Data of the figure of peaks.

    Attributes
    ----------
    peaks
        Peak memory in bytes, by what it measures.
    """

    peaks: dict[str, int]


def memory_kinds_info(record: Record) -> MemoryKindsInfo | None:
    """Memory over time; None if the memory observer did not run."""
    seen = found(record, "memory", MemoryResult)
    if seen is None:
        return None
    kinds = {"anonymous": seen.anonymous, "file": seen.file, "shared": seen.shared}
    rollup = {"proportional set": seen.pss, "huge pages": seen.anonymous_huge}
    return MemoryKindsInfo(
        tuple(seen.time_s),
        {name: tuple(values) for name, values in kinds.items()},
        tuple(seen.rollup_time_s),
        {name: tuple(values) for name, values in rollup.items()},
    )


def peaks_info(record: Record) -> PeaksInfo:
    """Peak memory: heap, resident set and XLA's own analysis."""
    return PeaksInfo(memory_peaks(record))


def memory_kinds_figure(info: MemoryKindsInfo) -> go.Figure:
    """Stacked areas for the kinds, lines for the proportional set and huge pages."""
    figure = go.Figure()
    for (name, values), colour in zip(info.kinds.items(), (BLUE, SKY, PURPLE), strict=True):
        figure.add_trace(
            go.Scatter(
                x=info.time_s,
                y=[value / GIGA for value in values],
                name=name,
                mode="lines",
                stackgroup="resident",
                line={"width": 0.5, "color": colour},
            )
        )
    for (name, values), colour in zip(info.rollup.items(), (BLACK, ORANGE), strict=True):
        figure.add_trace(
            go.Scatter(
                x=info.rollup_time_s,
                y=[value / GIGA for value in values],
                name=name,
                mode="lines",
                line={"width": 1.4, "color": colour},
            )
        )
    styled(figure, 340)
    figure.update_xaxes(title_text="seconds since the trial began")
    figure.update_yaxes(title_text="GB", rangemode="tozero")
    return figure


def peaks_figure(info: PeaksInfo) -> go.Figure:
    """One horizontal bar per measurement of the peak."""
    labels = [wrapped(name) for name in info.peaks]
    figure = go.Figure(
        go.Bar(
            x=[size / GIGA for size in info.peaks.values()],
            y=list(range(len(labels))),
            orientation="h",
            width=ROW_SHARE,
            marker={"color": BLUE},
            text=[bytes_text(size) for size in info.peaks.values()],
            textposition="outside",
            cliponaxis=False,
        )
    )
    headed_rows(styled(figure), labels)
    figure.update_layout(margin={"r": 80})
    figure.update_xaxes(title_text="GB", rangemode="tozero")
    return figure

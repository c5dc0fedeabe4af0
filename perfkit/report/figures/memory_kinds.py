"""Memory over time by kind, and the peak as different observers see it."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.memory import MemorySeen
from perfkit.observers.reading import found
from perfkit.records.schema import Record
from perfkit.report.profile_summary import memory_peaks
from perfkit.report.style import (
    BLACK,
    BLUE,
    GIGABYTE,
    ORANGE,
    PURPLE,
    SKY,
    labelled_rows,
    rows_height_px,
    styled,
    wrapped,
)
from perfkit.units import bytes_text


class MemoryKindsInfo(NamedTuple):
    """Resident bytes by kind over time, and two sets that are sampled more seldom."""

    time_s: tuple[float, ...]
    kinds: dict[str, tuple[int, ...]]
    seldom_time_s: tuple[float, ...]
    seldom: dict[str, tuple[int, ...]]


class PeaksInfo(NamedTuple):
    """The same memory as different observers see it, in bytes."""

    peaks: dict[str, int]


def memory_kinds_info(record: Record) -> MemoryKindsInfo | None:
    """What the memory observer saw, None where it did not look."""
    seen = found(record, "memory", MemorySeen)
    if seen is None:
        return None
    kinds = {"anonymous": seen.anonymous, "file": seen.file, "shared": seen.shared}
    seldom = {"proportional set": seen.pss, "huge pages": seen.anonymous_huge}
    return MemoryKindsInfo(
        tuple(seen.time_s),
        {name: tuple(values) for name, values in kinds.items()},
        tuple(seen.rollup_time_s),
        {name: tuple(values) for name, values in seldom.items()},
    )


def peaks_info(record: Record) -> PeaksInfo:
    """Heap, resident set and XLA's own analysis beside one another."""
    return PeaksInfo(memory_peaks(record))


def memory_kinds_figure(info: MemoryKindsInfo) -> go.Figure:
    """Stacked areas by kind, lines for the others."""
    figure = go.Figure()
    for (name, values), colour in zip(info.kinds.items(), (BLUE, SKY, PURPLE), strict=True):
        figure.add_trace(
            go.Scatter(
                x=info.time_s,
                y=[value / GIGABYTE for value in values],
                name=name,
                mode="lines",
                stackgroup="resident",
                line={"width": 0.5, "color": colour},
            )
        )
    for (name, values), colour in zip(info.seldom.items(), (BLACK, ORANGE), strict=True):
        figure.add_trace(
            go.Scatter(
                x=info.seldom_time_s,
                y=[value / GIGABYTE for value in values],
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
    """A horizontal bar a way of looking."""
    labels = [wrapped(name) for name in info.peaks]
    figure = go.Figure(
        go.Bar(
            x=[size / GIGABYTE for size in info.peaks.values()],
            y=list(range(len(labels))),
            orientation="h",
            width=0.6,
            marker={"color": BLUE},
            text=[bytes_text(size) for size in info.peaks.values()],
            textposition="outside",
            cliponaxis=False,
        )
    )
    styled(figure, rows_height_px(labels))
    labelled_rows(figure, labels)
    figure.update_layout(margin={"r": 80})
    figure.update_xaxes(title_text="GB", rangemode="tozero")
    return figure

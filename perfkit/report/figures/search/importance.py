"""What each knob contributes to the gains of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.style import (
    BLUE,
    GREY,
    PALE,
    labelled_rows,
    reach,
    rows_height_px,
    shortened,
    spread_axis,
    styled,
    wrapped,
)
from perfkit.stats.interval import Interval
from perfkit.tuning.importance import KnobImportance
from perfkit.units import count_text, percent_text, ratio_text

NOTES_FROM = 0.62
"""Left edge of the notes, as a share of the figure's width without its labels."""

VALUE_WIDTH = 24
"""Most characters of a value in a note."""


class ImportanceRow(NamedTuple):
    """One knob.

    Attributes
    ----------
    knob
        Name of the knob.
    share
        Share of the knob in the importance of all knobs, from 0 to 1.
    best_value
        The measured value with the largest gain.
    gain
        Time with the default over the time with ``best_value``, with its count of pairs of
        processes that differ in the knob.
    """

    knob: str
    share: float
    best_value: str
    gain: Interval


class ImportanceInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        Knobs, the most important first.
    method
        How the shares were computed.
    """

    rows: tuple[ImportanceRow, ...]
    method: str


def importance_info(importances: Sequence[KnobImportance]) -> ImportanceInfo | None:
    """The knobs with their gains; None if no knob was compared."""
    if not importances:
        return None
    ordered = sorted(importances, key=lambda one: (-one.importance, one.knob))
    rows = (
        ImportanceRow(
            one.knob,
            one.importance,
            one.best_value,
            _interval(one),
        )
        for one in ordered
    )
    return ImportanceInfo(tuple(rows), ordered[0].method)


def _interval(one: KnobImportance) -> Interval:
    low, high = one.interval or (None, None)
    return Interval(one.gain, low, high, one.count)


def _note(row: ImportanceRow) -> str:
    value = shortened(row.best_value, VALUE_WIDTH)
    best = f"best {value}" if row.gain.median >= 1.0 else f"worse than the default: {value}"
    return f"<b>{percent_text(row.share)}</b>, {best}<br>{ratio_text(row.gain)}"


def importance_figure(info: ImportanceInfo) -> go.Figure:
    """One dot with its interval per knob; notes give the share and the best value."""
    labels = [wrapped(row.knob) for row in info.rows]
    gains = [row.gain for row in info.rows]
    figure = go.Figure(
        go.Scatter(
            x=[gain.median for gain in gains],
            y=list(range(len(gains))),
            error_x={
                "type": "data",
                "array": [reach(gain, gain.high) for gain in gains],
                "arrayminus": [reach(gain, gain.low) for gain in gains],
                "thickness": 2,
                "width": 5,
            },
            mode="markers",
            marker={
                "size": 11,
                "color": BLUE,
                "symbol": ["circle" if gain.ends else "circle-open" for gain in gains],
            },
            hovertext=[
                f"{wrapped(f'{row.knob}={row.best_value}')}<br>{ratio_text(row.gain)}<br>"
                f"{count_text(row.gain.count, 'pair')} of processes"
                for row in info.rows
            ],
            hoverinfo="text",
        )
    )
    for position, row in enumerate(info.rows):
        figure.add_annotation(
            x=NOTES_FROM,
            y=position,
            xref="paper",
            yref="y",
            xanchor="left",
            align="left",
            showarrow=False,
            text=_note(row),
            font={"color": BLUE if row.gain.surely_above(1.0) else GREY, "size": 12},
        )
    styled(figure, rows_height_px(labels, least_lines=2))
    labelled_rows(figure, labels)
    ends = [end for gain in gains for end in (gain.median, *(gain.ends or ()))]
    figure.update_xaxes(
        title_text="times as fast (95 % interval)",
        domain=[0, NOTES_FROM - 0.02],
        **spread_axis([1.0, *ends]),
    )
    figure.add_vline(x=1, line={"color": PALE, "width": 2}, layer="below")
    return figure

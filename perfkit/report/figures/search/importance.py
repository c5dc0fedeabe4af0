"""What each knob contributes to the gains of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.figures.ratio_rows import Note, finish_rows
from perfkit.report.style import BLUE, GREY, error_bars, shortened, wrapped
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.importance import KnobImportance
from perfkit.units import count_text, percent_text, ratio_text

VALUE_WIDTH = 20
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


def _note(row: ImportanceRow) -> Note:
    """Share and gain, and the best value."""
    value = shortened(row.best_value, VALUE_WIDTH)
    best = f"best: {value}" if row.gain.median >= 1.0 else f"best: the default, then {value}"
    return Note(
        f"<b>{percent_text(row.share)}</b>, {ratio_text(row.gain)}<br>{best}",
        BLUE if row.gain.surely_above(1.0) else GREY,
    )


def importance_figure(info: ImportanceInfo) -> go.Figure:
    """One dot with its interval per knob; notes give the share and the best value."""
    labels = [wrapped(row.knob) for row in info.rows]
    gains = [row.gain for row in info.rows]
    figure = go.Figure(
        go.Scatter(
            x=[gain.median for gain in gains],
            y=list(range(len(gains))),
            error_x=error_bars(gains),
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
    finish_rows(
        figure, labels, [_note(row) for row in info.rows], gains, "times as fast (95 % interval)"
    )
    return figure

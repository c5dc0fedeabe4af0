"""Gains over stock that a screening on a shallow network, or in a shared process, showed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.depths import FULL_DEPTH
from perfkit.records.schema import Record
from perfkit.report.names import Names
from perfkit.report.status import Status, status_of
from perfkit.report.style import (
    MARKS,
    PALE,
    headed_rows,
    ratio_axis,
    shortened,
    styled,
    wrapped,
)
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.gains import compared_pairs, log_gains
from perfkit.units import count_text

MOST_ROWS = 24
"""Most configurations in the figure."""

NAME_WIDTH = 40
"""Most characters of a name; the gain stands behind it."""

SHALLOW = "shallow network"
SHARED = "shared process"


class ScreeningRow(NamedTuple):
    """One screened configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    name
        Its short name, see :class:`perfkit.report.names.Names`.
    gain
        Time of stock over that of the configuration.
    rounds
        Number of rounds behind the gain.
    status
        Status of the configuration in the study.
    """

    label: str
    name: str
    gain: float
    rounds: int
    status: Status


class ScreeningInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    where
        What the configurations were compared on: :data:`SHALLOW` or :data:`SHARED`.
    rows
        The configurations with the largest gains, largest first.
    left_out
        Number of configurations with smaller gains that are not among the rows.
    """

    where: str
    rows: tuple[ScreeningRow, ...]
    left_out: int


def screening_info(
    records: Sequence[Record], recommendation: Recommendation, most: int = MOST_ROWS
) -> ScreeningInfo | None:
    """Gains of the screened configurations; None if none was compared with stock.

    Parameters
    ----------
    records
        Records of shallow networks and of shared processes,
        see :class:`perfkit.report.selection.StudyRecords`.
    recommendation
        Recommendation of the study.
    most
        Most rows.
    """
    pairs = compared_pairs(Evidence.of_records(records))
    gains = log_gains(pairs)
    rounds: dict[str, int] = {}
    for pair in pairs:
        for process in (pair.first, pair.second):
            rounds[process.digest] = rounds.get(process.digest, 0) + len(pair.logarithms)
    names = Names.of(recommendation)
    rows = [
        ScreeningRow(
            row.label,
            names[row.digest],
            math.exp(gains[row.digest]),
            rounds[row.digest],
            status_of(row, recommendation.best),
        )
        for row in recommendation.rows
        if row.digest in gains and row.settings
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: -row.gain)
    where = SHARED if pairs[0].first.depth == FULL_DEPTH else SHALLOW
    return ScreeningInfo(where, tuple(rows[:most]), max(0, len(rows) - most))


def screening_figure(info: ScreeningInfo) -> go.Figure:
    """One dot per configuration."""
    figure = go.Figure()
    for status, mark in MARKS.items():
        chosen = [(at, row) for at, row in enumerate(info.rows) if row.status is status]
        if not chosen:
            continue
        figure.add_trace(
            go.Scatter(
                x=[row.gain for _, row in chosen],
                y=[position for position, _ in chosen],
                mode="markers",
                name=status.value,
                marker={"color": mark.colour, "symbol": mark.symbol, "size": 9},
                hovertext=[
                    f"{wrapped(row.label)}<br>{row.gain:.2f} times as fast as stock<br>"
                    f"{info.where}, {count_text(row.rounds, 'round')}"
                    for _, row in chosen
                ],
                hoverinfo="text",
            )
        )
    headed_rows(styled(figure), [_heading(row) for row in info.rows])
    figure.update_xaxes(
        title_text=f"times as fast as stock ({info.where})",
        **ratio_axis([row.gain for row in info.rows]),
    )
    figure.add_vline(x=1, line={"color": PALE, "width": 2}, layer="below")
    return figure


def _heading(row: ScreeningRow) -> str:
    return f"{shortened(row.name, NAME_WIDTH)} <b>{row.gain:.2f}x</b>"

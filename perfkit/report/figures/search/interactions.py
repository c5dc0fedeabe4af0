"""Interactions of two settings, where all four combinations were measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.settings import settings_label
from perfkit.report.style import BLUE, PALE, headed_rows, ratio_axis, shortened, styled
from perfkit.tuning.choice.interactions import Interaction
from perfkit.units import count_text

MOST_ROWS = 16
"""Most rows of the figure."""


class InteractionRow(NamedTuple):
    """Two settings.

    Attributes
    ----------
    name
        Both settings.
    ratio
        Gain of both over the product of their separate gains.
    least, largest
        Smallest and largest ratio of a square of four configurations.
    squares
        Number of squares.
    """

    name: str
    ratio: float
    least: float
    largest: float
    squares: int


class InteractionsInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        The strongest interactions, strongest first.
    left_out
        Number of weaker ones.
    """

    rows: tuple[InteractionRow, ...]
    left_out: int


def interactions_info(
    measured: Sequence[Interaction], most: int = MOST_ROWS
) -> InteractionsInfo | None:
    """The strongest interactions; None if none was measured.

    Parameters
    ----------
    measured
        Interactions, the strongest first.
    most
        Most rows.
    """
    rows = tuple(
        InteractionRow(
            f"{settings_label([one.first])} with {settings_label([one.second])}",
            one.ratio,
            one.least,
            one.largest,
            one.squares,
        )
        for one in measured[:most]
    )
    return InteractionsInfo(rows, max(0, len(measured) - most)) if rows else None


def interactions_figure(info: InteractionsInfo) -> go.Figure:
    """One dot per pair of settings; its line reaches from the smallest to the largest square."""
    figure = go.Figure(
        go.Scatter(
            x=[row.ratio for row in info.rows],
            y=list(range(len(info.rows))),
            error_x={
                "type": "data",
                "array": [row.largest - row.ratio for row in info.rows],
                "arrayminus": [row.ratio - row.least for row in info.rows],
                "thickness": 3,
                "width": 0,
            },
            mode="markers",
            marker={"size": 10, "color": BLUE},
            hovertext=[
                f"{shortened(row.name, 90)}<br>{row.ratio:.2f} ({row.least:.2f} to "
                f"{row.largest:.2f})<br>{count_text(row.squares, 'square')}"
                for row in info.rows
            ],
            hoverinfo="text",
        )
    )
    headed_rows(
        styled(figure),
        [f"{shortened(row.name, 46)}<br><b>{row.ratio:.2f}x</b>" for row in info.rows],
    )
    ends = [end for row in info.rows for end in (row.least, row.largest)]
    figure.update_xaxes(
        title_text="gain of both over the product of both gains", **ratio_axis(ends)
    )
    figure.add_vline(x=1, line={"color": PALE, "width": 2}, layer="below")
    return figure

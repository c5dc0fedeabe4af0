"""Errors of predictions for runs that were held out of a fit."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.laws.assemble import BEYOND, TIME
from perfkit.capacity.laws.fit import ModelFit
from perfkit.report.style import BLUE, GREY, ORANGE, styled
from perfkit.units import percent_text


class HeldOutPoint(NamedTuple):
    """One prediction.

    Attributes
    ----------
    size
        Size of the run.
    error
        Predicted over measured, minus 1.
    low, high
        The same for the ends of the prediction's interval.
    beyond
        Whether the size is beyond the measured range.
    """

    size: float
    error: float
    low: float
    high: float
    beyond: bool


class HeldOutInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    quantity
        ``time`` or ``memory``.
    points
        Predictions by size.
    """

    quantity: str
    points: tuple[HeldOutPoint, ...]


def held_out_info(fit: ModelFit, quantity: str = TIME) -> HeldOutInfo:
    """One point per prediction of a quantity, by size."""
    points = [
        HeldOutPoint(
            one.size,
            one.error,
            one.predicted.low / one.measured - 1.0,
            one.predicted.high / one.measured - 1.0,
            one.place == BEYOND,
        )
        for one in fit.held_out
        if one.quantity == quantity
    ]
    return HeldOutInfo(quantity, tuple(sorted(points)))


def held_out_figure(info: HeldOutInfo) -> go.Figure:
    """One dot with its interval per prediction; a line marks zero error."""
    figure = go.Figure()
    for beyond, colour, symbol, name in (
        (False, BLUE, "circle", "within the measured range"),
        (True, ORANGE, "diamond", "beyond it, up to twice the largest"),
    ):
        own = [point for point in info.points if point.beyond is beyond]
        figure.add_trace(
            go.Scatter(
                x=[point.size for point in own],
                y=[100 * point.error for point in own],
                error_y={
                    "type": "data",
                    "array": [100 * (point.high - point.error) for point in own],
                    "arrayminus": [100 * (point.error - point.low) for point in own],
                    "color": colour,
                    "thickness": 1,
                },
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 8},
                hovertext=[
                    f"{point.size:g}: {percent_text(point.error, signed=True)}" for point in own
                ],
                hoverinfo="text",
            )
        )
    figure.add_hline(y=0, line={"color": GREY})
    styled(figure, 340)
    figure.update_xaxes(title_text="size", type="log")
    figure.update_yaxes(title_text=f"error of {info.quantity}, %")
    return figure

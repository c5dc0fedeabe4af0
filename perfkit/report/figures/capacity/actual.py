"""Measured time or memory of finished jobs relative to the prediction of the plan."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.check.actual import Fate
from perfkit.capacity.check.check import Check
from perfkit.capacity.laws.assemble import TIME
from perfkit.report.style import BLUE, GREY, PALE, VERMILION, labelled_rows, shortened, styled
from perfkit.units import bytes_text, seconds_text

MOST_ROWS = 60
"""Most jobs in the figure; those furthest from their prediction are shown."""


class ActualRow(NamedTuple):
    """One finished job.

    Attributes
    ----------
    name
        Name of the job.
    ratio
        Measured over predicted.
    low, high
        Ends of the predicted interval over the prediction.
    inside
        Whether the measurement is within the interval.
    text
        Hover label.
    """

    name: str
    ratio: float
    low: float
    high: float
    inside: bool
    text: str


class ActualInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    quantity
        ``time`` or ``memory``.
    rows
        Finished jobs in the order of the plan.
    hidden
        Number of finished jobs that are not shown.
    """

    quantity: str
    rows: tuple[ActualRow, ...]
    hidden: int


def actual_info(check: Check, quantity: str) -> ActualInfo:
    """The finished jobs whose quantity is known.

    Parameters
    ----------
    check
        A plan against what happened.
    quantity
        ``time`` or ``memory``.
    """
    is_time = quantity == TIME
    text = seconds_text if is_time else bytes_text
    rows = []
    for job in check.jobs:
        ratio = job.time_ratio if is_time else job.memory_ratio
        predicted = job.planned.time if is_time else job.planned.memory
        if job.actual.fate is not Fate.FINISHED or ratio is None:
            continue
        interval = f"[{text(predicted.low)}, {text(predicted.high)}]"
        rows.append(
            ActualRow(
                name=job.planned.name,
                ratio=ratio,
                low=predicted.low / predicted.value,
                high=predicted.high / predicted.value,
                inside=predicted.low <= ratio * predicted.value <= predicted.high,
                text=f"{job.planned.name}: {text(ratio * predicted.value)} measured, "
                f"{text(predicted.value)} {interval} predicted",
            )
        )
    furthest = sorted(rows, key=lambda row: abs(row.ratio - 1), reverse=True)[:MOST_ROWS]
    shown = [row for row in rows if row in furthest]
    return ActualInfo(quantity, tuple(shown), len(rows) - len(shown))


def actual_figure(info: ActualInfo) -> go.Figure:
    """One dot per job on the bar of its interval; a line marks the prediction."""
    figure = go.Figure()
    places = list(range(len(info.rows)))
    figure.add_trace(
        go.Bar(
            base=[row.low for row in info.rows],
            x=[row.high - row.low for row in info.rows],
            y=places,
            orientation="h",
            name="interval of the prediction",
            marker={"color": PALE},
            hoverinfo="skip",
        )
    )
    for inside, colour, symbol, name in (
        (True, BLUE, "circle", "measured, inside"),
        (False, VERMILION, "diamond", "measured, outside"),
    ):
        own = [(place, row) for place, row in zip(places, info.rows, strict=True)]
        own = [(place, row) for place, row in own if row.inside is inside]
        if own:
            figure.add_trace(
                go.Scatter(
                    x=[row.ratio for _, row in own],
                    y=[place for place, _ in own],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "symbol": symbol, "size": 9},
                    hovertext=[shortened(row.text, 120) for _, row in own],
                    hoverinfo="text",
                )
            )
    figure.add_vline(x=1, line={"color": GREY})
    styled(figure, 130 + 28 * len(info.rows))
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text=f"measured {info.quantity} over predicted")
    return labelled_rows(figure, [shortened(row.name, 30) for row in info.rows])

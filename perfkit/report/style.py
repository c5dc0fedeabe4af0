"""How figures look: colours that everyone can tell apart, marks, axes, wrapped labels."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.standing import Standing

# M. Okabe and K. Ito, "Color Universal Design" (2008): told apart with any colour vision.
BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
BLACK = "#222222"
GREY = "#8a8f98"
PALE = "#dfe3e8"

SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK, GREY)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star")

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"
GIGABYTE = 1e9
"""Bytes; memory axes count in decimal units, as tables do."""

LABEL_WIDTH = 44
"""Characters a line of an axis label; longer ones leave too little room for the data."""

WORD_WIDTH = 64
"""Characters of a single word that a label makes room for."""

LOG_FROM_RATIO = 4.0
"""Axes whose largest value is more than so many times the smallest are logarithmic."""


class Mark(NamedTuple):
    """Colour and plotly symbol of a standing; the shape tells as much as the colour."""

    colour: str
    symbol: str


MARKS = {
    Standing.RECOMMENDED: Mark(BLUE, "star"),
    Standing.STOCK: Mark(BLACK, "square"),
    Standing.AGREES: Mark(GREEN, "circle"),
    Standing.UNJUDGED: Mark(GREY, "circle-open"),
    Standing.DISAGREES: Mark(VERMILION, "x"),
    Standing.FAILED: Mark(VERMILION, "x-open"),
    Standing.INTERRUPTED: Mark(GREY, "diamond-open"),
}


def wrapped(text: str, width: int = LABEL_WIDTH) -> str:
    """Plain text as an axis label: lines of about ``width``, safe in plotly's markup.

    A setting is only broken where it is longer than :data:`WORD_WIDTH`.
    """
    longest = max(map(len, text.split()), default=0)
    room = max(width, min(longest, WORD_WIDTH))
    lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    return "<br>".join(html.escape(line) for line in lines)


def shortened(text: str, width: int = LABEL_WIDTH) -> str:
    """Plain text on one line of at most ``width``, safe in plotly's markup."""
    return html.escape(text if len(text) <= width else text[: width - 1].rstrip() + "…")


def styled(figure: go.Figure, height_px: float) -> go.Figure:
    """The figure with the house's font, margins and grid."""
    figure.update_layout(
        template="plotly_white",
        height=height_px,
        margin={"l": 10, "r": 20, "t": 24, "b": 44},
        font={"family": FONT, "size": 13, "color": BLACK},
        hoverlabel={"font_size": 12},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "traceorder": "normal"},
        barmode="stack",
        bargap=0.3,
    )
    axes = {"automargin": True, "gridcolor": PALE, "zeroline": False}
    title = {"title_standoff": 8, "title_font_size": 13}
    figure.update_xaxes(**axes, **title)
    figure.update_yaxes(**axes, **title)
    return figure


def labelled_rows(figure: go.Figure, labels: Sequence[str]) -> go.Figure:
    """A horizontal axis of rows 0, 1, ... from the top, each with its label (already safe)."""
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=list(labels),
        range=[len(labels) - 0.5, -0.5],
        showgrid=False,
    )
    return figure


def rows_height_px(labels: Sequence[str], extra_px: float = 90, least_lines: int = 1) -> float:
    """Height in pixels that leaves the tallest label, or ``least_lines``, room in every row."""
    lines = max((label.count("<br>") + 1 for label in labels), default=1)
    return extra_px + len(labels) * (12 + 17 * max(lines, least_lines))


def spread_axis(values: Sequence[float]) -> dict[str, object]:
    """Axis settings for values of at least 0 that may spread wide.

    Logarithmic with ticks at 1, 2, 3, 5, 10, ... where the largest is more than
    :data:`LOG_FROM_RATIO` times the smallest, else linear from 0.
    """
    least, most = min(values, default=0.0), max(values, default=0.0)
    if least <= 0 or most / least <= LOG_FROM_RATIO:
        return {"type": "linear", "rangemode": "tozero"}
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 3, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}

"""Style shared by all figures: colours, symbols, axes and wrapped labels."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.status import Status
from perfkit.stats.interval import Interval

# M. Okabe and K. Ito, "Color Universal Design" (2008): distinguishable with any colour vision.
BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
BLACK = "#222222"
GREY = "#8a8f98"
PALE = "#dfe3e8"

TEXT_COLOURS = {
    SKY: "#1F6E9C",
    GREEN: "#00704F",
    ORANGE: "#8A5A00",
    VERMILION: "#B34700",
    GREY: "#5A616B",
}
"""Darker shades for text, with a contrast of at least 4.5 to white (WCAG 2.2, 1.4.3)."""

SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK, GREY)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star")

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"
LABEL_WIDTH = 44
"""Characters per line of a label. Longer lines do not fit on a phone."""

ROW_SHARE = 0.36
"""Height of a bar as a share of its row, see :func:`headed_rows`."""

LINE_PX = 17
"""Height in pixels of a line of a heading or label."""

WORD_WIDTH = 64
"""Length up to which a single word is not broken, in characters."""

MOST_TICKS = 9
"""Most ticks of an axis of ratios: more do not fit on a phone."""

RATIO_STEPS = (
    tuple(1 + number / 50 for number in range(450)),
    tuple(1 + number / 20 for number in range(180)),
    tuple(1 + number / 10 for number in range(90)),
    (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 2.0, 5.0),
    (1.0,),
)
"""Ticks in a power of ten on an axis of ratios, the finest first."""

LOG_FROM_RATIO = 4.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


class Mark(NamedTuple):
    """Colour and plotly symbol of a status. Symbols differ as well, for readers without colours.

    Attributes
    ----------
    colour
        Colour in hexadecimal.
    symbol
        Name of the plotly symbol.
    """

    colour: str
    symbol: str


MARKS = {
    Status.RECOMMENDED: Mark(BLUE, "star"),
    Status.STOCK: Mark(BLACK, "square"),
    Status.AGREES: Mark(GREEN, "circle"),
    Status.UNJUDGED: Mark(GREY, "circle-open"),
    Status.DISAGREES: Mark(VERMILION, "x"),
    Status.FAILED: Mark(VERMILION, "x-open"),
    Status.INTERRUPTED: Mark(GREY, "diamond-open"),
}


def wrapped(text: str, width: int = LABEL_WIDTH) -> str:
    """Wrap a text for an axis label or a hover label, and escape plotly's markup.

    Parameters
    ----------
    text
        Plain text.
    width
        Characters per line. A longer word is broken only beyond :data:`WORD_WIDTH` characters.
    """
    longest = max(map(len, text.split()), default=0)
    room = max(width, min(longest, WORD_WIDTH))
    lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    return "<br>".join(html.escape(line) for line in lines)


def shortened(text: str, width: int = LABEL_WIDTH) -> str:
    """Shorten a text to one line of at most ``width`` characters, and escape plotly's markup."""
    return html.escape(text if len(text) <= width else text[: width - 1].rstrip() + "…")


def styled(figure: go.Figure, height_px: float = 400) -> go.Figure:
    """Apply the common font, margins, legend and grid to a figure and return it.

    Parameters
    ----------
    figure
        Figure to change.
    height_px
        Height in pixels.
    """
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
    """Label the rows 0, 1, ... of a figure from top to bottom and return it.

    Parameters
    ----------
    figure
        Figure to change.
    labels
        Labels, with plotly's markup already escaped.
    """
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=list(labels),
        range=[len(labels) - 0.5, -0.5],
        showgrid=False,
    )
    return figure


def rows_height_px(labels: Sequence[str], extra_px: float = 90, least_lines: int = 1) -> float:
    """Height in pixels of a figure with rows of :func:`labelled_rows`.

    Parameters
    ----------
    labels
        Labels of the rows; lines are separated by ``<br>``.
    extra_px
        Height of everything else: axis, legend and margins.
    least_lines
        Lines that every row has room for, even if all labels are shorter.
    """
    lines = max((label.count("<br>") + 1 for label in labels), default=1)
    return extra_px + len(labels) * (12 + 17 * max(lines, least_lines))


def headed_rows(figure: go.Figure, headings: Sequence[str], extra_px: float = 120) -> go.Figure:
    """Put a heading above each of the rows 0, 1, ... from the top, and return the figure.

    A heading takes no width from the data, so that a row with a long name also fits on a phone.
    Bars in the rows are :data:`ROW_SHARE` high.

    Parameters
    ----------
    figure
        Figure to change; its height is set.
    headings
        Headings, with plotly's markup already escaped; lines are separated by ``<br>``.
    extra_px
        Height of everything else: axis, margins, and a legend of several lines on a phone.
    """
    lines = max((heading.count("<br>") + 1 for heading in headings), default=1)
    row_px = (LINE_PX * lines + 7) / (1 - ROW_SHARE)
    above, below = 1 - ROW_SHARE / 2, ROW_SHARE / 2 + 0.1
    for position, heading in enumerate(headings):
        figure.add_annotation(
            x=0,
            y=position - ROW_SHARE / 2,
            xref="paper",
            yref="y",
            xanchor="left",
            yanchor="bottom",
            align="left",
            borderpad=0,
            showarrow=False,
            text=heading,
            font={"size": 12.5},
        )
    figure.update_yaxes(
        range=[len(headings) - 1 + below, -above], showgrid=False, showticklabels=False
    )
    figure.update_layout(height=extra_px + row_px * (max(0, len(headings) - 1) + above + below))
    return figure


def coloured(text: str, colour: str) -> str:
    """A text in a colour, as plotly's markup; the text is escaped already."""
    return f'<span style="color:{TEXT_COLOURS.get(colour, colour)}">{text}</span>'


def spread_axis(values: Sequence[float]) -> dict[str, object]:
    """Axis settings for non-negative values that may have a wide range.

    The axis is logarithmic with ticks at 1, 2, 3, 5, 10, ... if the largest value is more than
    :data:`LOG_FROM_RATIO` times the smallest. Otherwise it is linear from 0.
    """
    least, most = min(values, default=0.0), max(values, default=0.0)
    if least <= 0 or most / least <= LOG_FROM_RATIO:
        return {"type": "linear", "rangemode": "tozero"}
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 3, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def ratio_axis(ratios: Sequence[float]) -> dict[str, object]:
    """Axis settings for positive ratios: logarithmic, so that 2 and 1/2 are as far from 1.

    The axis holds 1 and all ratios, and has at most about ten ticks.
    """
    least, most = min([1.0, *ratios]), max([1.0, *ratios])
    room = max(0.02, 0.06 * math.log10(most / least))
    begin, end = math.log10(least) - room, math.log10(most) + room
    ticks = next(
        (
            found
            for steps in RATIO_STEPS
            if (found := [t for t in _ratio_ticks(steps) if begin <= math.log10(t) <= end])
            and len(found) <= MOST_TICKS
        ),
        [1.0],
    )
    return {
        "type": "log",
        "range": [begin, end],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _ratio_ticks(steps: Sequence[float]) -> list[float]:
    """Ticks from 0.001 to 1000: the steps in each power of ten."""
    return [step * 10.0**power for power in range(-3, 4) for step in steps]


def error_bars(estimates: Sequence[Interval]) -> dict[str, object]:
    """Error bars from each estimate to the ends of its interval; an unknown end has no bar."""

    def lengths(ends: Iterable[float | None]) -> list[float]:
        pairs = zip(estimates, ends, strict=True)
        return [0.0 if end is None else abs(end - estimate.median) for estimate, end in pairs]

    return {
        "type": "data",
        "array": lengths(estimate.high for estimate in estimates),
        "arrayminus": lengths(estimate.low for estimate in estimates),
        "thickness": 3,
        # A cap would mark even an unknown end.
        "width": 0,
    }

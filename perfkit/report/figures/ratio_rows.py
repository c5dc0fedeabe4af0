"""Rows of ratios: a name and a note above a dot with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from perfkit.report.style import (
    PALE,
    Mark,
    coloured,
    error_bars,
    headed_rows,
    ratio_axis,
    styled,
)
from perfkit.stats.interval import Interval


@dataclass(frozen=True)
class Note:
    """The note of a row.

    Attributes
    ----------
    text
        One line or several, with Plotly's markup.
    colour
        Colour of the text.
    """

    text: str
    colour: str


@dataclass(frozen=True)
class Dot:
    """A ratio in its row.

    Attributes
    ----------
    position
        Number of the row from the top, from 0.
    ratio
        The ratio.
    hover
        Text on hover, with Plotly's markup.
    """

    position: int
    ratio: Interval
    hover: str


def add_dots(
    figure: go.Figure, mark: Mark, dots: Sequence[Dot], *, name: str | None = None, size: int = 10
) -> None:
    """Add dots of one kind with their intervals.

    Parameters
    ----------
    figure
        The figure.
    mark
        Colour and symbol.
    dots
        The dots; none add nothing.
    name
        Name of the kind in the legend; None leaves it out.
    size
        Diameter in pixels.
    """
    if not dots:
        return
    figure.add_trace(
        go.Scatter(
            x=[dot.ratio.median for dot in dots],
            y=[dot.position for dot in dots],
            error_x=error_bars([dot.ratio for dot in dots]),
            mode="markers",
            name=name,
            showlegend=False if name is None else None,
            marker={"color": mark.colour, "symbol": mark.symbol, "size": size},
            hovertext=[dot.hover for dot in dots],
            hoverinfo="text",
        )
    )


def finish_rows(
    figure: go.Figure,
    labels: Sequence[str],
    notes: Sequence[Note],
    ratios: Iterable[Interval],
    title: str,
) -> None:
    """Add names, notes and axes to a figure whose dots are at 0, 1, ... from the top.

    Parameters
    ----------
    figure
        Figure with one trace or several.
    labels, notes
        One of each per row.
    ratios
        The ratios that are drawn; the axis holds them, their intervals, and 1.
    title
        Title of the axis.
    """
    styled(figure)
    headed_rows(
        figure,
        [
            f"{label}<br>{coloured(note.text, note.colour)}" if note.text else label
            for label, note in zip(labels, notes, strict=True)
        ],
    )
    ends = [end for ratio in ratios for end in (ratio.median, *(ratio.ends or ()))]
    figure.update_xaxes(title_text=title, **ratio_axis(ends))
    figure.add_vline(x=1, line={"color": PALE, "width": 2}, layer="below")

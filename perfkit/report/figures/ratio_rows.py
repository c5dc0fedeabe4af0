"""Rows of ratios: a name and a note above a dot with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from perfkit.report.style import PALE, coloured, headed_rows, ratio_axis, styled
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

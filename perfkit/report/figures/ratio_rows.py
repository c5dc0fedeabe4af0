"""Rows of ratios: a label, a dot with its interval, and a note in a column on the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from perfkit.report.style import PALE, labelled_rows, rows_height_px, spread_axis, styled
from perfkit.stats.interval import Interval

NOTES_FROM = 0.6
"""Left edge of the notes, as a share of the figure's width without its labels."""


@dataclass(frozen=True)
class Note:
    """The note of a row.

    Attributes
    ----------
    text
        Two lines, with Plotly's markup.
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
    """Add labels, notes and axes to a figure whose dots are at 0, 1, ... from the top.

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
    for position, note in enumerate(notes):
        figure.add_annotation(
            x=NOTES_FROM,
            y=position,
            xref="paper",
            yref="y",
            xanchor="left",
            align="left",
            showarrow=False,
            text=note.text,
            font={"color": note.colour, "size": 12},
        )
    styled(figure, rows_height_px(labels, least_lines=2))
    labelled_rows(figure, labels)
    ends = [end for ratio in ratios for end in (ratio.median, *(ratio.ends or ()))]
    figure.update_xaxes(
        title_text=title, domain=[0, NOTES_FROM - 0.02], **spread_axis([1.0, *ends])
    )
    figure.add_vline(x=1, line={"color": PALE, "width": 2}, layer="below")

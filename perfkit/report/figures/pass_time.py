"""Time of one traced pass by kind of operation, and by module of the model."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.roofline.limit import Limit
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.report.figures.roofline import LIMIT_COLOURS
from perfkit.report.style import BLUE, ROW_SHARE, headed_rows, styled, wrapped
from perfkit.units import percent_text, seconds_text

SHOWN_MODULES = 15
"""Modules in the figure, longest time first."""


class PassRow(NamedTuple):
    """A kind of operation or a module.

    Attributes
    ----------
    name
        Name of the kind or of the module.
    seconds
        Time in the pass, in seconds.
    share
        Share of the pass, from 0 to 1.
    limit
        What limits the module; None for a kind of operation.
    """

    name: str
    seconds: float
    share: float
    limit: Limit | None


class PassInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        Kinds or modules, longest time first.
    """

    rows: tuple[PassRow, ...]


def kinds_info(seen: XlaResult) -> PassInfo:
    """One row per kind of operation that takes any time."""
    rows = (
        PassRow(name, seconds, seconds / seen.pass_s, None)
        for name, seconds in seen.kinds.items()
        if seconds > 0
    )
    return PassInfo(tuple(rows))


def modules_info(seen: XlaResult) -> PassInfo:
    """One row per module, for the :data:`SHOWN_MODULES` with the longest time."""
    rows = (PassRow(one.name, one.seconds, one.share, one.limit) for one in seen.modules)
    return PassInfo(tuple(rows)[:SHOWN_MODULES])


def pass_figure(info: PassInfo) -> go.Figure:
    """One horizontal bar per row, coloured by its limit if it has one."""
    labels = [wrapped(row.name) for row in info.rows]
    figure = go.Figure()
    for limit in dict.fromkeys(row.limit for row in info.rows):
        chosen = [(index, row) for index, row in enumerate(info.rows) if row.limit is limit]
        figure.add_trace(
            go.Bar(
                x=[row.seconds for _, row in chosen],
                y=[index for index, _ in chosen],
                orientation="h",
                width=ROW_SHARE,
                name="" if limit is None else limit.value,
                showlegend=limit is not None,
                marker={"color": BLUE if limit is None else LIMIT_COLOURS[limit]},
                text=[
                    f"{seconds_text(row.seconds)}, {percent_text(row.share)}" for _, row in chosen
                ],
                textposition="outside",
                cliponaxis=False,
                hoverinfo="text",
            )
        )
    headed_rows(styled(figure), labels)
    figure.update_layout(margin={"r": 110})
    figure.update_xaxes(title_text="seconds of one traced pass", rangemode="tozero")
    return figure

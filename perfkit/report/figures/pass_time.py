"""Where the time of one pass goes: by kind of operation, and by module of the model."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.roofline.limit import Limit
from perfkit.observers.trace.xla_trace import XlaSeen
from perfkit.report.figures.roofline import LIMIT_COLOURS
from perfkit.report.style import BLUE, labelled_rows, rows_height_px, styled, wrapped
from perfkit.units import percent_text, seconds_text

SHOWN_MODULES = 15


class PassRow(NamedTuple):
    """A kind of operation or a module: seconds, share of the pass, and its limit if it has one."""

    name: str
    seconds: float
    share: float
    limit: Limit | None


class PassInfo(NamedTuple):
    """Rows, most time first."""

    rows: tuple[PassRow, ...]


def kinds_info(seen: XlaSeen) -> PassInfo:
    """A row a kind of operation that took any time."""
    rows = (
        PassRow(name, seconds, seconds / seen.pass_s, None)
        for name, seconds in seen.kinds.items()
        if seconds > 0
    )
    return PassInfo(tuple(rows))


def modules_info(seen: XlaSeen) -> PassInfo:
    """The modules that took most."""
    rows = (PassRow(one.name, one.seconds, one.share, one.limit) for one in seen.modules)
    return PassInfo(tuple(rows)[:SHOWN_MODULES])


def pass_figure(info: PassInfo) -> go.Figure:
    """A horizontal bar a row, coloured by limit where there is one."""
    labels = [wrapped(row.name) for row in info.rows]
    figure = go.Figure()
    for limit in dict.fromkeys(row.limit for row in info.rows):
        chosen = [(place, row) for place, row in enumerate(info.rows) if row.limit is limit]
        figure.add_trace(
            go.Bar(
                x=[row.seconds for _, row in chosen],
                y=[place for place, _ in chosen],
                orientation="h",
                width=0.6,
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
    styled(figure, rows_height_px(labels))
    labelled_rows(figure, labels)
    figure.update_layout(margin={"r": 110})
    figure.update_xaxes(title_text="seconds of one traced pass", rangemode="tozero")
    return figure

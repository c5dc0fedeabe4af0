"""Steady time of every pass of every trial, over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.schema import Record
from perfkit.report.names import Names
from perfkit.report.status import Status, status_of
from perfkit.report.style import (
    BLACK,
    BLUE,
    MARKS,
    SERIES,
    SYMBOLS,
    VERMILION,
    shortened,
    spread_axis,
    styled,
    wrapped,
)
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import seconds_text

LEGEND_WIDTH = 44
EMPHASISED = (Status.STOCK, Status.RECOMMENDED)
ORDINARY = (Status.AGREES, Status.UNJUDGED)
PALETTE = [colour for colour in SERIES if colour not in (BLUE, BLACK, VERMILION)]
"""Colours of ordinary configurations. The remaining colours belong to a status."""


class PassGroup(NamedTuple):
    """The passes of one configuration, oldest first.

    Attributes
    ----------
    label
        Label of the configuration.
    name
        Its short name, see :class:`perfkit.report.names.Names`.
    status
        Status of the configuration in the study.
    elapsed_s
        Starts of the passes, seconds since the first trial began, shape (passes,).
    wall_s
        Wall seconds of the passes, shape (passes,).
    """

    label: str
    name: str
    status: Status
    elapsed_s: tuple[float, ...]
    wall_s: tuple[float, ...]


class PassesInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    groups
        One group per configuration, in the recommendation's order.
    """

    groups: tuple[PassGroup, ...]


def passes_info(records: Sequence[Record], recommendation: Recommendation) -> PassesInfo:
    """All steady passes of ``records`` by configuration."""
    begins = {record.id: datetime.fromisoformat(record.created).timestamp() for record in records}
    origin = min(begins.values(), default=0.0)
    names = Names.of(recommendation)
    own: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        own[record.configuration.digest].append(record)
    groups = []
    for row in recommendation.rows:
        passes = sorted(
            (begins[record.id] - origin + stage.begin_s, stage.wall_s)
            for record in own[row.digest]
            for stage in record.steady
        )
        if passes:
            elapsed_s, wall_s = zip(*passes, strict=True)
            status = status_of(row, recommendation.best)
            groups.append(PassGroup(row.label, names[row.digest], status, elapsed_s, wall_s))
    return PassesInfo(tuple(groups))


def passes_figure(info: PassesInfo) -> go.Figure:
    """One dot per pass. Lines join the passes of stock and of the recommended configuration."""
    figure = go.Figure()
    others = 0
    for group in info.groups:
        if group.status in ORDINARY:
            colour, symbol = PALETTE[others % len(PALETTE)], SYMBOLS[others % len(SYMBOLS)]
            others += 1
        else:
            colour, symbol = MARKS[group.status]
        figure.add_trace(
            go.Scatter(
                x=[second / 60 for second in group.elapsed_s],
                y=group.wall_s,
                mode="lines+markers" if group.status in EMPHASISED else "markers",
                name=shortened(f"{_prefix(group)}{group.name}", LEGEND_WIDTH),
                line={"color": colour, "width": 1, "dash": "dot"},
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 10 if group.status in EMPHASISED else 8,
                },
                hovertext=[
                    f"{wrapped(group.label)}<br>{group.status}<br>{seconds_text(second)}"
                    for second in group.wall_s
                ],
                hoverinfo="text",
            )
        )
    walls = [second for group in info.groups for second in group.wall_s]
    styled(figure, 380 + 20 * len(info.groups))
    figure.update_layout(legend={"orientation": "v", "y": -0.16, "yanchor": "top"})
    figure.update_xaxes(title_text="minutes since the first trial began", rangemode="tozero")
    figure.update_yaxes(title_text="seconds per pass", **spread_axis(walls))
    return figure


def _prefix(group: PassGroup) -> str:
    plain = (*ORDINARY, Status.STOCK)
    named = group.status in plain or group.name.startswith(group.status)
    return "" if named else f"{group.status}: "

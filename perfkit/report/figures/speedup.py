"""Speed-up over stock with its interval, one row per configuration."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.schema import Outcome
from perfkit.report.status import (
    Status,
    agreement_text,
    only_screened,
    outcome_text,
    status_of,
)
from perfkit.report.style import (
    MARKS,
    PALE,
    labelled_rows,
    reach,
    rows_height_px,
    shortened,
    spread_axis,
    styled,
    wrapped,
)
from perfkit.stats.interval import Interval
from perfkit.tuning.recommend import Recommendation
from perfkit.units import ratio_text

NOTE_WIDTH = 42
"""Most characters of a note."""

NOTES_FROM = 0.6
"""Left edge of the notes, as a share of the figure's width without its labels."""


class SpeedupRow(NamedTuple):
    """One configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    speedup
        Speed-up over stock; None if it was not compared.
    status
        Status of the configuration in the study.
    note
        Agreement with the reference, or the reason of a failure.
    """

    label: str
    speedup: Interval | None
    status: Status
    note: str


class SpeedupInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        Configurations in the recommendation's order, fastest first, without those that were only
        screened on a shallow network.
    """

    rows: tuple[SpeedupRow, ...]


def speedup_info(recommendation: Recommendation) -> SpeedupInfo:
    """Speed-up, status and note of every configuration that was measured on the whole network.

    A configuration without a trial that reached a pass is among them, with the reason.
    """
    rows = []
    for row in recommendation.rows:
        if only_screened(row):
            continue
        status = status_of(row, recommendation.best)
        note = agreement_text(row)
        if row.outcome.value == status.value:
            note = row.reason
        elif row.outcome is not Outcome.OK:
            note = outcome_text(row.outcome, row.reason)
        rows.append(SpeedupRow(row.label, row.speedup, status, note))
    return SpeedupInfo(tuple(rows))


def speedup_figure(info: SpeedupInfo) -> go.Figure:
    """One dot with its interval per row. A configuration without a speed-up has a note only."""
    figure = go.Figure()
    labels = [wrapped(row.label) for row in info.rows]
    for status, mark in MARKS.items():
        chosen = [
            (position, row.speedup, row)
            for position, row in enumerate(info.rows)
            if row.status is status and row.speedup is not None
        ]
        if not chosen:
            continue
        figure.add_trace(
            go.Scatter(
                x=[ratio.median for _, ratio, _ in chosen],
                y=[position for position, _, _ in chosen],
                error_x={
                    "type": "data",
                    "array": [reach(ratio, ratio.high) for _, ratio, _ in chosen],
                    "arrayminus": [reach(ratio, ratio.low) for _, ratio, _ in chosen],
                    "thickness": 2,
                    "width": 5,
                },
                mode="markers",
                name=status.value,
                marker={"color": mark.colour, "symbol": mark.symbol, "size": 11},
                hovertext=[
                    f"{wrapped(row.label)}<br>{ratio_text(ratio)}<br>{wrapped(row.note)}"
                    for _, ratio, row in chosen
                ],
                hoverinfo="text",
            )
        )
    _add_notes(figure, info)
    styled(figure, rows_height_px(labels, least_lines=2))
    labelled_rows(figure, labels)
    ends = [
        end
        for row in info.rows
        if row.speedup
        for end in (row.speedup.median, *(row.speedup.ends or ()))
    ]
    figure.update_xaxes(
        title_text="times as fast as stock (95 % interval)",
        domain=[0, NOTES_FROM - 0.02],
        **spread_axis([*ends, 1.0]),
    )
    figure.add_vline(x=1, line={"color": PALE, "width": 2}, layer="below")
    return figure


def _add_notes(figure: go.Figure, info: SpeedupInfo) -> None:
    """Add the ratio, status and note of every row in a column on the right."""
    for position, row in enumerate(info.rows):
        value = "" if row.speedup is None else f"<b>{ratio_text(row.speedup)}</b> "
        lines = [f"{value}{row.status}", shortened(row.note, NOTE_WIDTH)]
        figure.add_annotation(
            x=NOTES_FROM,
            y=position,
            xref="paper",
            yref="y",
            xanchor="left",
            align="left",
            showarrow=False,
            text="<br>".join(lines),
            font={"color": MARKS[row.status].colour, "size": 12},
        )

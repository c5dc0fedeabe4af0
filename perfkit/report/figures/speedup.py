"""Speed-up over stock with its interval, one row per configuration."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.schema import Outcome
from perfkit.report.figures.ratio_rows import Dot, Note, add_dots, finish_rows
from perfkit.report.names import Names
from perfkit.report.status import (
    Status,
    agreement_text,
    only_screened,
    outcome_text,
    status_of,
)
from perfkit.report.style import MARKS, shortened, wrapped
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import ratio_text

ONE_LINE = 18
"""Most characters of a note that stands on one line with the ratio."""

NOTE_WIDTH = 42
"""Most characters of a note."""


class SpeedupRow(NamedTuple):
    """One configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    name
        Its short name, see :class:`perfkit.report.names.Names`.
    speedup
        Speed-up over stock; None if it was not compared.
    status
        Status of the configuration in the study.
    note
        Agreement with the reference, or the reason of a failure.
    """

    label: str
    name: str
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
    names = Names.of(recommendation)
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
        rows.append(SpeedupRow(row.label, names[row.digest], row.speedup, status, note))
    return SpeedupInfo(tuple(rows))


def speedup_figure(info: SpeedupInfo) -> go.Figure:
    """One dot with its interval per row. A configuration without a speed-up has a note only."""
    figure = go.Figure()
    labels = [wrapped(row.name) for row in info.rows]
    for status, mark in MARKS.items():
        dots = [
            Dot(
                position,
                row.speedup,
                f"{wrapped(row.label)}<br>{ratio_text(row.speedup)}<br>{wrapped(row.note)}",
            )
            for position, row in enumerate(info.rows)
            if row.status is status and row.speedup is not None
        ]
        add_dots(figure, mark, dots, name=status.value, size=11)
    finish_rows(
        figure,
        labels,
        [_note(row) for row in info.rows],
        [row.speedup for row in info.rows if row.speedup is not None],
        "times as fast as stock (95 % interval)",
    )
    return figure


def _note(row: SpeedupRow) -> Note:
    """Ratio and status, and the agreement or the reason of a failure."""
    value = "" if row.speedup is None else f"<b>{ratio_text(row.speedup)}</b> "
    parts = [f"{value}{row.status}"]
    if row.note != row.status.value:
        parts.append(shortened(row.note, NOTE_WIDTH))
    fits = len(row.note) <= ONE_LINE or row.speedup is None
    return Note((", " if fits else "<br>").join(filter(None, parts)), MARKS[row.status].colour)

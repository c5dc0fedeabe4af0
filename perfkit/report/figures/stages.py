"""Time of each trial by stage."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.report.names import Names
from perfkit.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    ROW_SHARE,
    SKY,
    headed_rows,
    shortened,
    styled,
    wrapped,
)
from perfkit.units import seconds_text

STAGE_COLOURS: dict[str, str] = dict(
    zip(StageName, (GREY, PURPLE, SKY, ORANGE, BLUE, GREEN, BLACK), strict=True)
)
LABEL_WIDTH = 36


class StagesBar(NamedTuple):
    """One trial.

    Attributes
    ----------
    label
        Label of the configuration.
    name
        Its short name.
    role
        Role of the trial in the study.
    outcome
        Outcome of the trial.
    wall_s
        Wall seconds by stage; for ``steady`` the median over the passes.
    """

    label: str
    name: str
    role: str
    outcome: Outcome
    wall_s: dict[StageName, float]


class StagesInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    bars
        One bar per trial, oldest first.
    """

    bars: tuple[StagesBar, ...]


def stages_info(records: Sequence[Record], names: Names | None = None) -> StagesInfo:
    """The stages of every trial that completed at least one.

    Parameters
    ----------
    records
        The trials, oldest first.
    names
        Short names of their configurations; the labels by default.
    """
    return StagesInfo(
        tuple(
            StagesBar(
                record.configuration.label,
                record.configuration.label if names is None else names[record.configuration.digest],
                record.role,
                record.outcome,
                _wall_s(record),
            )
            for record in records
            if record.stages
        )
    )


def _wall_s(record: Record) -> dict[StageName, float]:
    walls = {
        name: [stage.wall_s for stage in record.stages if stage.name == name] for name in StageName
    }
    return {name: statistics.median(values) for name, values in walls.items() if values}


def stages_figure(info: StagesInfo) -> go.Figure:
    """One stacked horizontal bar per trial."""
    labels = [f"{shortened(bar.name, LABEL_WIDTH)} {_ending(bar)}" for bar in info.bars]
    figure = go.Figure()
    for name in StageName:
        chosen = [
            (index, bar, bar.wall_s[name])
            for index, bar in enumerate(info.bars)
            if name in bar.wall_s
        ]
        if not chosen:
            continue
        figure.add_trace(
            go.Bar(
                x=[second for _, _, second in chosen],
                y=[index for index, _, _ in chosen],
                orientation="h",
                width=ROW_SHARE,
                name="steady (median pass)" if name is StageName.STEADY else name.value,
                marker={"color": STAGE_COLOURS[name]},
                hovertext=[
                    f"{wrapped(bar.label)}<br>{_ending(bar)}<br>{name}: {seconds_text(second)}"
                    for _, bar, second in chosen
                ],
                hoverinfo="text",
            )
        )
    headed_rows(styled(figure), labels)
    figure.update_xaxes(title_text="wall seconds")
    return figure


def _ending(bar: StagesBar) -> str:
    """Role of the trial, and its outcome if it failed, in brackets."""
    ended = "" if bar.outcome is Outcome.OK else f", {bar.outcome.value.replace('_', ' ')}"
    return f"({bar.role}{ended})"

"""A benchmark over commits: its values, their levels, and the jumps between levels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.history.series import Series
from perfkit.history.snapshot import Kind
from perfkit.report.style import SERIES, SYMBOLS, VERMILION, shortened, styled, wrapped
from perfkit.units import GIGA, value_text

LEGEND_WIDTH = 60


class HistoryLine(NamedTuple):
    """One series of a benchmark; values are in the unit of the axis.

    Attributes
    ----------
    label
        Parameters and machine.
    positions
        Positions of the commits on the x axis, shape (points,).
    values
        Values, shape (points,); None if the benchmark has no value at a commit.
    lows, highs
        Ends of the intervals, shape (points,); None if unknown.
    hovers
        Hover labels, shape (points,).
    levels
        First position, last position and value of each level.
    jumps
        Position of the first commit after each jump, its level, and a description.
    """

    label: str
    positions: tuple[int, ...]
    values: tuple[float | None, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    hovers: tuple[str, ...]
    levels: tuple[tuple[int, int, float], ...]
    jumps: tuple[tuple[int, float, str], ...]


class HistoryInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    commits
        Abbreviated hashes, oldest first.
    unit
        Unit of the axis.
    logarithmic
        Whether the axis is logarithmic.
    lines
        One line per series of the benchmark.
    """

    commits: tuple[str, ...]
    unit: str
    logarithmic: bool
    lines: tuple[HistoryLine, ...]


def history_info(series: Sequence[Series]) -> HistoryInfo:
    """The lines of one benchmark.

    Parameters
    ----------
    series
        Series of the benchmark, at least one, all in one unit.
    """
    kind, unit = series[0].kind, series[0].unit
    dates = {point.commit: point.date_ms for one in series for point in one.points}
    commits = tuple(sorted(dates, key=lambda commit: dates[commit]))
    machines = {one.machine for one in series}
    scale = 1 / GIGA if unit == "bytes" else 1.0
    values = [point.value for one in series for point in one.points if point.value is not None]
    return HistoryInfo(
        tuple(commit[:8] for commit in commits),
        {"bytes": "GB", "seconds": "seconds"}.get(unit, unit),
        kind is Kind.ANSWER and bool(values) and min(values) > 0,
        tuple(_line(one, commits, scale, len(machines) > 1) for one in series),
    )


def _line(
    series: Series, commits: Sequence[str], scale: float, several_machines: bool
) -> HistoryLine:
    def scaled(value: float | None) -> float | None:
        return None if value is None else value * scale

    def position(commit: str) -> int:
        return commits.index(commit)

    points = series.points
    label = ", ".join(filter(None, [series.parameters, series.machine if several_machines else ""]))
    return HistoryLine(
        label or series.benchmark.rpartition(".")[2],
        tuple(position(point.commit) for point in points),
        tuple(scaled(point.value) for point in points),
        tuple(scaled(point.low) for point in points),
        tuple(scaled(point.high) for point in points),
        tuple(
            f"{point.commit[:8]}, {datetime.fromtimestamp(point.date_ms / 1000, UTC):%Y-%m-%d}: "
            f"{'no value' if point.value is None else value_text(point.value, series.unit)}"
            for point in points
        ),
        tuple(
            (position(points[step.first].commit), position(points[step.last].commit), level)
            for step in series.steps
            if (level := step.value * scale) is not None
        ),
        tuple(
            (
                position(jump.after),
                (jump.old if jump.new is None else jump.new) * scale,
                jump_text(series, jump.old, jump.new),
            )
            for jump in series.jumps
        ),
    )


def jump_text(series: Series, old: float, new: float | None) -> str:
    """Describe a jump: both levels and their ratio.

    Parameters
    ----------
    series
        The series.
    old, new
        Levels before and after the jump, in the unit of the series; ``new`` is None if the
        benchmark no longer gives a number.
    """
    if new is None:
        return f"{value_text(old, series.unit)} to no number"
    ratio = f", {new / old:.3g}x" if old else ""
    return f"{value_text(old, series.unit)} to {value_text(new, series.unit)}{ratio}"


def history_figure(info: HistoryInfo) -> go.Figure:
    """Dots with asv's 99 % intervals, one line per level, and rings at the jumps."""
    figure = go.Figure()
    for number, line in enumerate(info.lines):
        colour, symbol = SERIES[number % len(SERIES)], SYMBOLS[number % len(SYMBOLS)]
        known = [value or 0.0 for value in line.values]
        figure.add_trace(
            go.Scatter(
                x=line.positions,
                y=line.values,
                mode="markers",
                name=shortened(line.label, LEGEND_WIDTH),
                legendgroup=str(number),
                marker={"color": colour, "symbol": symbol, "size": 8},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [
                        0 if high is None else high - value
                        for high, value in zip(line.highs, known, strict=True)
                    ],
                    "arrayminus": [
                        0 if low is None else value - low
                        for low, value in zip(line.lows, known, strict=True)
                    ],
                    "thickness": 1,
                    "width": 0,
                },
                hovertext=[f"{wrapped(line.label)}<br>{wrapped(hover)}" for hover in line.hovers],
                hoverinfo="text",
            )
        )
        for first, last, value in line.levels:
            figure.add_trace(
                go.Scatter(
                    x=[first - 0.3, last + 0.3],
                    y=[value, value],
                    mode="lines",
                    line={"color": colour, "width": 2},
                    legendgroup=str(number),
                    showlegend=False,
                    hoverinfo="skip",
                )
            )
        figure.add_trace(
            go.Scatter(
                x=[position for position, _, _ in line.jumps],
                y=[value for _, value, _ in line.jumps],
                mode="markers",
                marker={
                    "color": VERMILION,
                    "symbol": "circle-open",
                    "size": 18,
                    "line": {"width": 2},
                },
                legendgroup=str(number),
                showlegend=False,
                hovertext=[wrapped(text) for *_, text in line.jumps],
                hoverinfo="text",
            )
        )
    styled(figure, 340 + 18 * len(info.lines))
    figure.update_xaxes(
        tickvals=list(range(len(info.commits))),
        ticktext=list(info.commits),
        title_text="commit",
        range=[-0.6, len(info.commits) - 0.4],
    )
    figure.update_yaxes(
        title_text=shortened(info.unit),
        **(
            {"type": "log", "exponentformat": "power"}
            if info.logarithmic
            else {"rangemode": "tozero"}
        ),
    )
    return figure

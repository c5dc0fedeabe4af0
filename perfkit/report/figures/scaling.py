"""Time against size, or against CPUs, one line a configuration: the picture of a sweep."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.records.schema import Outcome, Record
from perfkit.report.style import SERIES, SYMBOLS, shortened, spread_axis, styled, wrapped
from perfkit.units import seconds_text

LEGEND_WIDTH = 70
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


class ScalingLine(NamedTuple):
    """Median steady seconds over sizes or CPU counts, ascending, of one configuration.

    ``cpus`` is None where CPUs are what the line runs over.
    """

    label: str
    cpus: int | None
    x: tuple[int, ...]
    time_s: tuple[float, ...]


class ScalingInfo(NamedTuple):
    """``over`` says what the lines run over: ``size`` or ``CPUs``."""

    over: str
    lines: tuple[ScalingLine, ...]


def scaling_info(records: Sequence[Record]) -> ScalingInfo | None:
    """The lines of a sweep, or None where neither sizes nor CPU counts differ."""
    timed = [record for record in records if record.outcome is Outcome.OK and record.steady]
    over_size = len({record.workload.size for record in timed}) > 1
    if not over_size and len({record.allowed_cpus for record in timed}) < 2:
        return None
    walls: dict[tuple[str, int | None], dict[int, list[float]]]
    walls = defaultdict(lambda: defaultdict(list))
    for record in timed:
        cpus = record.allowed_cpus if over_size else None
        place = record.workload.size if over_size else record.allowed_cpus
        walls[_label(record), cpus][place] += [stage.wall_s for stage in record.steady]
    lines = tuple(
        ScalingLine(
            label,
            cpus,
            tuple(sorted(points)),
            tuple(statistics.median(points[place]) for place in sorted(points)),
        )
        for (label, cpus), points in walls.items()
        if len(points) > 1
    )
    return ScalingInfo("size" if over_size else "CPUs", lines) if lines else None


def _label(record: Record) -> str:
    """The configuration without its CPU count, which is a dimension of its own here."""
    settings = record.configuration.settings.items()
    return Configuration(
        tuple((name, value) for name, value in settings if name != CPUS_KNOB.name)
    ).label


def scaling_figure(info: ScalingInfo) -> go.Figure:
    """Lines on logarithmic axes: a power law is a straight line."""
    figure = go.Figure()
    labels = list(dict.fromkeys(line.label for line in info.lines))
    counts = sorted({line.cpus for line in info.lines if line.cpus is not None})
    for line in info.lines:
        place = labels.index(line.label)
        dash = 0 if line.cpus is None else counts.index(line.cpus)
        cpus = "" if line.cpus is None else f", {line.cpus} CPU{'s' if line.cpus != 1 else ''}"
        figure.add_trace(
            go.Scatter(
                x=line.x,
                y=line.time_s,
                mode="lines+markers",
                name=shortened(line.label, LEGEND_WIDTH) + cpus,
                line={"color": SERIES[place % len(SERIES)], "dash": DASHES[dash % len(DASHES)]},
                marker={"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 9},
                hovertext=[
                    f"{wrapped(line.label)}{cpus}<br>{info.over} {x}: {seconds_text(second)}"
                    for x, second in zip(line.x, line.time_s, strict=True)
                ],
                hoverinfo="text",
            )
        )
    styled(figure, 400 + 20 * len(info.lines))
    figure.update_layout(legend={"orientation": "v", "y": -0.16, "yanchor": "top"})
    times_s = [second for line in info.lines for second in line.time_s]
    ticks = sorted({x for line in info.lines for x in line.x})
    figure.update_xaxes(title_text=info.over, type="log", tickvals=ticks)
    figure.update_yaxes(title_text="seconds a pass (median)", **spread_axis(times_s))
    return figure

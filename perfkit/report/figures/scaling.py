"""Time against size or number of CPUs, one line per configuration: the figure of a sweep."""

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
from perfkit.units import count_text, seconds_text

LEGEND_WIDTH = 70
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


class ScalingLine(NamedTuple):
    """One configuration, on one number of CPUs.

    Attributes
    ----------
    label
        Label of the configuration without its number of CPUs.
    cpus
        Number of CPUs; None if the x axis is the number of CPUs.
    x
        Sizes or numbers of CPUs, ascending, shape (points,).
    time_s
        Median steady seconds, shape (points,).
    """

    label: str
    cpus: int | None
    x: tuple[int, ...]
    time_s: tuple[float, ...]


class ScalingInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    over
        Quantity on the x axis: ``size`` or ``CPUs``.
    lines
        One line per configuration and number of CPUs.
    """

    over: str
    lines: tuple[ScalingLine, ...]


def scaling_info(records: Sequence[Record]) -> ScalingInfo | None:
    """The lines of a sweep; None if neither sizes nor numbers of CPUs differ."""
    timed = [record for record in records if record.outcome is Outcome.OK and record.steady]
    over_size = len({record.workload.size for record in timed}) > 1
    if not over_size and len({record.allowed_cpus for record in timed}) < 2:
        return None
    walls: dict[tuple[str, int | None], dict[int, list[float]]]
    walls = defaultdict(lambda: defaultdict(list))
    for record in timed:
        cpus = record.allowed_cpus if over_size else None
        x = record.workload.size if over_size else record.allowed_cpus
        walls[_label(record), cpus][x] += [stage.wall_s for stage in record.steady]
    lines = tuple(
        ScalingLine(
            label,
            cpus,
            tuple(sorted(points)),
            tuple(statistics.median(points[x]) for x in sorted(points)),
        )
        for (label, cpus), points in walls.items()
        if len(points) > 1
    )
    return ScalingInfo("size" if over_size else "CPUs", lines) if lines else None


def _label(record: Record) -> str:
    """Label of the configuration without its number of CPUs, which is a separate dimension."""
    settings = record.configuration.settings.items()
    return Configuration(
        tuple((name, value) for name, value in settings if name != CPUS_KNOB.name)
    ).label


def scaling_figure(info: ScalingInfo) -> go.Figure:
    """One line per configuration on logarithmic axes, where a power law is a straight line."""
    figure = go.Figure()
    labels = list(dict.fromkeys(line.label for line in info.lines))
    counts = sorted({line.cpus for line in info.lines if line.cpus is not None})
    for line in info.lines:
        index = labels.index(line.label)
        dash = 0 if line.cpus is None else counts.index(line.cpus)
        cpus = "" if line.cpus is None else f", {count_text(line.cpus, 'CPU')}"
        figure.add_trace(
            go.Scatter(
                x=line.x,
                y=line.time_s,
                mode="lines+markers",
                name=shortened(line.label, LEGEND_WIDTH) + cpus,
                line={"color": SERIES[index % len(SERIES)], "dash": DASHES[dash % len(DASHES)]},
                marker={"symbol": SYMBOLS[index % len(SYMBOLS)], "size": 9},
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
    figure.update_yaxes(title_text="seconds per pass (median)", **spread_axis(times_s))
    return figure

"""Time and memory against size or number of CPUs, one line per configuration: of a sweep."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.records.schema import Outcome, Record
from perfkit.report.figures.power_law import PowerLaw, power_law
from perfkit.report.style import (
    PALE,
    SERIES,
    SYMBOLS,
    VERMILION,
    shortened,
    spread_axis,
    styled,
    wrapped,
)
from perfkit.units import GIGA, bytes_text, count_text, seconds_text

LEGEND_WIDTH = 44
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
BAND_OPACITY = 0.12

SIZE, CPUS = "size", "CPUs"


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
    law
        Power law through the medians; None for fewer than three points.
    """

    label: str
    cpus: int | None
    x: tuple[int, ...]
    time_s: tuple[float, ...]
    law: PowerLaw | None = None


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


class MemoryLine(NamedTuple):
    """The memory of one configuration.

    Attributes
    ----------
    label
        Label of the configuration without its number of CPUs.
    sizes
        Sizes, ascending, shape (points,).
    peak_rss_bytes
        Largest resident set of any trial, in bytes, shape (points,).
    """

    label: str
    sizes: tuple[int, ...]
    peak_rss_bytes: tuple[int, ...]


class MemoryScalingInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    lines
        One line per configuration.
    machine_bytes
        Memory of the smallest machine that the trials ran on; None if it is unknown.
    """

    lines: tuple[MemoryLine, ...]
    machine_bytes: int | None


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
        _line(label, cpus, {x: statistics.median(points[x]) for x in sorted(points)})
        for (label, cpus), points in walls.items()
        if len(points) > 1
    )
    return ScalingInfo(SIZE if over_size else CPUS, lines) if lines else None


def memory_scaling_info(records: Sequence[Record]) -> MemoryScalingInfo | None:
    """Peak memory by size; None if no configuration was measured at several sizes."""
    peaks: dict[str, dict[int, int]] = defaultdict(dict)
    for record in records:
        if record.outcome is Outcome.OK and record.peak_rss_bytes:
            own, size = peaks[_label(record)], record.workload.size
            own[size] = max(own.get(size, 0), record.peak_rss_bytes)
    lines = tuple(
        MemoryLine(label, tuple(sorted(own)), tuple(own[size] for size in sorted(own)))
        for label, own in peaks.items()
        if len(own) > 1
    )
    known = [record.machine.memory_bytes for record in records if record.machine.memory_bytes]
    return MemoryScalingInfo(lines, min(known, default=None)) if lines else None


def _line(label: str, cpus: int | None, medians: dict[int, float]) -> ScalingLine:
    x, time_s = tuple(medians), tuple(medians.values())
    return ScalingLine(label, cpus, x, time_s, power_law(x, time_s))


def _label(record: Record) -> str:
    """Label of the configuration without its number of CPUs, which is a separate dimension."""
    settings = record.configuration.settings.items()
    return Configuration(
        tuple((name, value) for name, value in settings if name != CPUS_KNOB.name)
    ).label


def scaling_figure(info: ScalingInfo) -> go.Figure:
    """Points, laws and bands on logarithmic axes, where a power law is a straight line."""
    figure = go.Figure()
    labels = list(dict.fromkeys(line.label for line in info.lines))
    counts = sorted({line.cpus for line in info.lines if line.cpus is not None})
    for line in info.lines:
        index = labels.index(line.label)
        dash = DASHES[(0 if line.cpus is None else counts.index(line.cpus)) % len(DASHES)]
        colour = SERIES[index % len(SERIES)]
        cpus = "" if line.cpus is None else f", {count_text(line.cpus, 'CPU')}"
        if line.law is not None:
            _add_law(figure, line.law, colour, dash)
        figure.add_trace(
            go.Scatter(
                x=line.x,
                y=line.time_s,
                mode="lines+markers" if line.law is None else "markers",
                name=_legend(line.label, cpus),
                line={"color": colour, "dash": dash},
                marker={"color": colour, "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 9},
                hovertext=[
                    f"{wrapped(line.label)}{cpus}<br>{info.over} {x}: {seconds_text(second)}"
                    for x, second in zip(line.x, line.time_s, strict=True)
                ],
                hoverinfo="text",
            )
        )
    if info.over == CPUS:
        _add_ideal(figure, info.lines)
    styled(figure, 400 + 20 * len(info.lines))
    _legend_below(figure)
    times_s = [second for line in info.lines for second in line.time_s]
    _x_axis(figure, info.over, [line.x for line in info.lines])
    figure.update_yaxes(title_text="seconds per pass (median)", **spread_axis(times_s))
    return figure


def memory_scaling_figure(info: MemoryScalingInfo) -> go.Figure:
    """One line per configuration, and a line at the memory of the machine."""
    figure = go.Figure()
    for index, line in enumerate(info.lines):
        colour = SERIES[index % len(SERIES)]
        figure.add_trace(
            go.Scatter(
                x=line.sizes,
                y=[peak / GIGA for peak in line.peak_rss_bytes],
                mode="lines+markers",
                name=_legend(line.label, ""),
                line={"color": colour},
                marker={"color": colour, "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 9},
                hovertext=[
                    f"{wrapped(line.label)}<br>size {size}: {bytes_text(peak)}"
                    for size, peak in zip(line.sizes, line.peak_rss_bytes, strict=True)
                ],
                hoverinfo="text",
            )
        )
    if info.machine_bytes is not None:
        figure.add_hline(
            y=info.machine_bytes / GIGA,
            line={"color": VERMILION, "dash": "dash"},
            annotation_text=f"memory of the machine, {bytes_text(info.machine_bytes)}",
            annotation_position="top left",
        )
    styled(figure, 380 + 20 * len(info.lines))
    _legend_below(figure)
    _x_axis(figure, SIZE, [line.sizes for line in info.lines])
    figure.update_yaxes(title_text="peak resident memory, GB", rangemode="tozero")
    return figure


def _add_law(figure: go.Figure, law: PowerLaw, colour: str, dash: str) -> None:
    if law.low:
        figure.add_trace(
            go.Scatter(
                x=[*law.x, *reversed(law.x)],
                y=[*law.high, *reversed(law.low)],
                fill="toself",
                fillcolor=colour,
                opacity=BAND_OPACITY,
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=law.x,
            y=law.y,
            mode="lines",
            line={"color": colour, "dash": dash, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    )


def _add_ideal(figure: go.Figure, lines: Sequence[ScalingLine]) -> None:
    """For each line, the time if all CPUs were as useful as those of its first point."""
    for line in lines:
        figure.add_trace(
            go.Scatter(
                x=line.x,
                y=[line.time_s[0] * line.x[0] / count for count in line.x],
                mode="lines",
                line={"color": PALE, "width": 2},
                name="ideal",
                hoverinfo="skip",
                showlegend=line is lines[0],
            )
        )


def _legend(label: str, cpus: str) -> str:
    return shortened(label, LEGEND_WIDTH - len(cpus)) + cpus


def _legend_below(figure: go.Figure) -> None:
    figure.update_layout(legend={"orientation": "v", "y": -0.2, "yanchor": "top"})


def _x_axis(figure: go.Figure, title: str, places: Sequence[Sequence[int]]) -> None:
    ticks = sorted({x for own in places for x in own})
    figure.update_xaxes(title_text=title, type="log", tickvals=ticks)


def law_sentence(info: ScalingInfo) -> str:
    """The exponent of each law in words; empty without laws."""
    texts: list[str] = []
    number: Callable[[float], str] = "{:.2f}".format
    for line in info.lines:
        if line.law is not None:
            exponent = line.law.exponent
            ends = "" if exponent.ends is None else f" [{', '.join(map(number, exponent.ends))}]"
            cpus = "" if line.cpus is None else f", {count_text(line.cpus, 'CPU')}"
            texts.append(f"{line.label}{cpus}: {number(exponent.median)}{ends}")
    return f"Exponents of {info.over}: {'; '.join(texts)}." if texts else ""

"""CPU use over time by consumer, and the number of busy CPUs by stage."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.cpu import CpuResult
from perfkit.observers.reading import found
from perfkit.records.schema import Record
from perfkit.report.figures.stages import STAGE_COLOURS
from perfkit.report.figures.timeline import LABELLED_SHARE
from perfkit.report.style import BLUE, GREY, SERIES, VERMILION, shortened, styled


class UtilisationInfo(NamedTuple):
    """Data of the figure over time.

    Attributes
    ----------
    time_s
        Ends of the sampling windows, seconds since the trial began, shape (windows,).
    layers
        CPUs in use per window by consumer: the trial, everything else, and the hypervisor (steal
        time). Shape (windows,) each.
    stages
        Name, begin and end of each stage; times in seconds since the trial began.
    cpus
        Number of CPUs of the machine.
    """

    time_s: tuple[float, ...]
    layers: dict[str, tuple[float, ...]]
    stages: tuple[tuple[str, float, float], ...]
    cpus: int


class BusyInfo(NamedTuple):
    """Data of the figure by stage.

    Attributes
    ----------
    fractions
        For each stage, the fraction of time with 0, 1, ... busy CPUs.
    """

    fractions: dict[str, tuple[float, ...]]


def utilisation_info(record: Record) -> UtilisationInfo | None:
    """CPU use over time; None if the CPU observer did not run."""
    seen = found(record, "cpu", CpuResult)
    if seen is None:
        return None
    stages = ((stage.name, stage.begin_s, stage.begin_s + stage.wall_s) for stage in record.stages)
    layers = {"trial": seen.tree, "everything else": seen.other, "hypervisor": seen.steal}
    return UtilisationInfo(
        tuple(seen.time_s),
        {name: tuple(values) for name, values in layers.items()},
        tuple(stages),
        len(seen.cpus),
    )


def busy_info(record: Record) -> BusyInfo | None:
    """Busy CPUs by stage; None without the CPU observer or if its stages have unequal counts."""
    seen = found(record, "cpu", CpuResult)
    if seen is None or len({len(shares) for shares in seen.busy.values()}) != 1:
        return None
    return BusyInfo({stage: tuple(shares) for stage, shares in seen.busy.items()})


def utilisation_figure(info: UtilisationInfo) -> go.Figure:
    """Stacked areas over shaded stages, with a line at the number of CPUs of the machine."""
    figure = go.Figure()
    for (name, values), colour in zip(info.layers.items(), (BLUE, GREY, VERMILION), strict=True):
        figure.add_trace(
            go.Scatter(
                x=info.time_s,
                y=values,
                name=name,
                mode="lines",
                stackgroup="use",
                line={"width": 0.5, "color": colour},
                hovertemplate="%{x:.1f} s: %{y:.2f} CPUs<extra>" + name + "</extra>",
            )
        )
    least_s = LABELLED_SHARE * max((end_s for _, _, end_s in info.stages), default=0.0)
    for name, begin_s, end_s in info.stages:
        figure.add_vrect(
            x0=begin_s,
            x1=end_s,
            fillcolor=STAGE_COLOURS.get(name, GREY),
            opacity=0.14,
            line_width=0,
            layer="below",
            annotation={
                "text": shortened(name) if end_s - begin_s > least_s else "",
                "font_size": 11,
                "xanchor": "center",
                "x": (begin_s + end_s) / 2,
                "yanchor": "bottom",
                "y": 1.0,
            },
        )
    figure.add_hline(y=info.cpus, line={"color": GREY, "dash": "dot", "width": 1})
    styled(figure, 340)
    figure.update_layout(margin={"t": 60}, legend={"y": 1.1})
    figure.update_xaxes(title_text="seconds since the trial began")
    figure.update_yaxes(title_text="CPUs in use", rangemode="tozero")
    return figure


def busy_figure(info: BusyInfo) -> go.Figure:
    """One bar per stage, divided by the number of busy CPUs."""
    figure = go.Figure()
    stages = list(info.fractions)
    counts = max(len(shares) for shares in info.fractions.values())
    for count in range(counts):
        figure.add_trace(
            go.Bar(
                x=[100 * info.fractions[stage][count] for stage in stages],
                y=[shortened(stage) for stage in stages],
                orientation="h",
                name=f"{count} busy",
                marker={"color": SERIES[count % len(SERIES)]},
                hovertemplate="%{y}: %{x:.1f} %<extra>" + f"{count} busy</extra>",
            )
        )
    styled(figure, 110 + 34 * len(stages))
    figure.update_xaxes(title_text="share of the stage, %", range=[0, 100])
    figure.update_yaxes(autorange="reversed")
    return figure

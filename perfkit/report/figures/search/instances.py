"""Predictions per hour by the number of instances side by side."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.status import Status
from perfkit.report.style import GREY, MARKS, error_bars, styled
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import bytes_text


class InstancesPoint(NamedTuple):
    """One number of instances.

    Attributes
    ----------
    text
        Number of instances and CPUs of each.
    per_hour
        Predictions per hour of all instances together.
    memory_bytes
        Peak memory of all instances together.
    chosen
        Whether this number is recommended.
    """

    text: str
    per_hour: Interval
    memory_bytes: int
    chosen: bool


class InstancesInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    points
        Numbers of instances that were measured, ascending.
    """

    points: tuple[InstancesPoint, ...]


def instances_info(recommendation: Recommendation) -> InstancesInfo | None:
    """Throughput of the recommended configuration; None if no instances were measured."""
    if not recommendation.instances:
        return None
    ordered = sorted(recommendation.instances, key=lambda one: one.count)
    return InstancesInfo(
        tuple(
            InstancesPoint(
                one.text,
                one.per_hour,
                one.count * one.peak_rss_bytes,
                one is recommendation.chosen_instances,
            )
            for one in ordered
        )
    )


def instances_figure(info: InstancesInfo) -> go.Figure:
    """One bar with its interval per number of instances; the recommended one is coloured."""
    values = [point.per_hour for point in info.points]
    figure = go.Figure(
        go.Bar(
            x=[point.text.replace(" of ", "<br>of ") for point in info.points],
            y=[value.median for value in values],
            width=0.5,
            marker={
                "color": [
                    MARKS[Status.RECOMMENDED].colour if point.chosen else GREY
                    for point in info.points
                ]
            },
            error_y=error_bars(values),
            hovertext=[
                f"{point.text}<br>{point.per_hour.median:.1f} predictions per hour<br>"
                f"{bytes_text(point.memory_bytes)} in all"
                for point in info.points
            ],
            hoverinfo="text",
        )
    )
    styled(figure, 360)
    figure.update_yaxes(title_text="predictions per hour", rangemode="tozero")
    return figure

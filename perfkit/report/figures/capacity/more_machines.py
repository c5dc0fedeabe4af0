"""Time until a queue is done, and its price, with more or fewer machines."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.queue.pack import machine_seconds, pack
from perfkit.capacity.queue.plan import Plan, kinds_of
from perfkit.report.style import BLUE, ORANGE, spread_axis, styled
from perfkit.units import HOUR_S

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Factors on the number of machines of every kind."""

MOST_JOBS = 2000
"""Most jobs of a queue that is packed again for the figure."""


class MoreMachinesInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    machines
        Total numbers of machines, ascending, shape (points,).
    hours
        Hours until the queue is done, shape (points,).
    price
        Price in ``currency``, shape (points,); None if a machine in use has no price.
    currency
        Code of the currency.
    """

    machines: tuple[int, ...]
    hours: tuple[float, ...]
    price: tuple[float | None, ...]
    currency: str


def more_machines_info(plan: Plan) -> MoreMachinesInfo | None:
    """The queue on scaled inventories; None if the queue is too long to be packed again."""
    if len(plan.jobs) > MOST_JOBS:
        return None
    points: dict[int, tuple[float, float | None]] = {}
    for scale in SCALES:
        machines = [
            dataclasses.replace(machine, count=max(1, round(machine.count * scale)))
            for machine in plan.inventory.machines
        ]
        packing = pack(plan.tasks, kinds_of(machines))
        rates = [machine.price_per_hour for machine in machines]
        price: float | None = 0.0
        for (kind, _), seconds in machine_seconds(packing.placements).items():
            rate = rates[kind]
            price = None if rate is None or price is None else price + rate * seconds / HOUR_S
        points[sum(machine.count for machine in machines)] = (packing.makespan_s / HOUR_S, price)
    counts = sorted(points)
    return MoreMachinesInfo(
        machines=tuple(counts),
        hours=tuple(points[count][0] for count in counts),
        price=tuple(points[count][1] for count in counts),
        currency=plan.inventory.currency,
    )


def more_machines_figure(info: MoreMachinesInfo) -> go.Figure:
    """Hours on the left axis, price on the right axis."""
    figure = go.Figure(
        go.Scatter(
            x=info.machines,
            y=info.hours,
            mode="lines+markers",
            name="hours until done",
            line={"color": BLUE},
        )
    )
    if all(price is not None for price in info.price):
        figure.add_trace(
            go.Scatter(
                x=info.machines,
                y=info.price,
                mode="lines+markers",
                name=f"price, {info.currency}",
                line={"color": ORANGE},
                marker={"symbol": "square"},
                yaxis="y2",
            )
        )
        figure.update_layout(
            yaxis2={
                "overlaying": "y",
                "side": "right",
                "rangemode": "tozero",
                "title": f"price, {info.currency}",
                # Ticks are at the heights of those on the left, and seldom round.
                "tickformat": ".3~g",
            }
        )
    styled(figure, 360)
    figure.update_xaxes(title_text="machines", type="log", tickvals=list(info.machines))
    figure.update_layout(yaxis={"title": "hours", **spread_axis(info.hours)})
    return figure

"""Time of a production run against size on each machine of a capacity table."""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.table.table import CapacityTable
from perfkit.models import get_model
from perfkit.report.capacity_tables import machine_text, size_text
from perfkit.report.plan_tables import memory_text, time_text
from perfkit.report.style import BLACK, SERIES, shortened, spread_axis, styled
from perfkit.units import HOUR_S


class MachineTimes(NamedTuple):
    """The possible sizes of a machine.

    Attributes
    ----------
    machine
        Description of the machine.
    sizes
        Sizes as text, shape (sizes,).
    hours, low, high
        Hours of one prediction with the ends of their intervals, shape (sizes,) each.
    hover
        Text of each point, shape (sizes,).
    """

    machine: str
    sizes: tuple[str, ...]
    hours: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    hover: tuple[str, ...]


class TableInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    axis
        Title of the axis of sizes.
    sizes
        All sizes, in their order.
    machines
        The machines that can run any size.
    measured
        Number of sizes up to the largest measured one.
    """

    axis: str
    sizes: tuple[str, ...]
    machines: tuple[MachineTimes, ...]
    measured: int


def table_info(table: CapacityTable) -> TableInfo:
    """Collect the times of the sizes that each machine can run."""
    found = []
    for machine in table.machines:
        points = [(cell, cell.time) for cell in table.cells_on(machine) if cell.feasible]
        known = [(cell, time) for cell, time in points if time is not None]
        if known:
            found.append(
                MachineTimes(
                    machine_text(machine),
                    tuple(size_text(cell) for cell, _ in known),
                    tuple(time.value / HOUR_S for _, time in known),
                    tuple(time.low / HOUR_S for _, time in known),
                    tuple(time.high / HOUR_S for _, time in known),
                    tuple(
                        f"{size_text(cell)}: {time_text(time)}"
                        + ("" if cell.memory is None else f"<br>{memory_text(cell.memory)}")
                        for cell, time in known
                    ),
                )
            )
    first = table.cells_on(table.machines[0])
    return TableInfo(
        get_model(table.fit.model).costs.sizes.axis,
        tuple(size_text(cell) for cell in first),
        tuple(found),
        sum(cell.size_factor <= 1 for cell in first),
    )


def table_figure(info: TableInfo) -> go.Figure:
    """Lines with error bars; sizes right of the dotted line are extrapolated."""
    figure = go.Figure()
    for place, each in enumerate(info.machines):
        figure.add_trace(
            go.Scatter(
                x=each.sizes,
                y=each.hours,
                mode="lines+markers",
                name=shortened(each.machine),
                line={"color": SERIES[place % len(SERIES)]},
                error_y={
                    "type": "data",
                    "array": [h - v for h, v in zip(each.high, each.hours, strict=True)],
                    "arrayminus": [v - low for low, v in zip(each.low, each.hours, strict=True)],
                    "thickness": 1,
                    "width": 3,
                },
                hovertext=each.hover,
                hoverinfo="text+name",
            )
        )
    if 0 < info.measured < len(info.sizes):
        figure.add_vline(x=info.measured - 0.5, line={"dash": "dot", "color": BLACK})
    styled(figure, 480)
    # Machines may lack sizes, so the order of all sizes is given.
    order = {"categoryorder": "array", "categoryarray": list(info.sizes)}
    figure.update_xaxes(title_text=info.axis, type="category", **order)
    hours = [value for each in info.machines for value in each.hours]
    figure.update_yaxes(title_text="hours of one production run", **spread_axis(hours))
    return figure

"""Sizes that fit into memory, and the time that they take."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.queue.estimate import MEMORY_SIZES_GB, estimate, time_factors
from perfkit.capacity.queue.jobs import sized_job
from perfkit.capacity.queue.machines import Machine
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.report.plan_tables import time_text
from perfkit.report.style import BLACK, SERIES, spread_axis, styled
from perfkit.units import bytes_text

CORES = (1, 2, 4, 8, 16, 32, 64)


class FeasibilityInfo(NamedTuple):
    """Data of both figures: memory of a production run, and its time by number of cores.

    Attributes
    ----------
    unit
        Unit of the sizes.
    sizes
        Sizes as text, shape (sizes,).
    needed_gb
        Upper end of the memory interval in GB, shape (sizes,).
    memory_gb
        Memory of machines in GB, shape (machines,).
    fits
        Whether a size fits into a machine's memory, shape (machines, sizes).
    cores
        Numbers of cores, shape (cores,).
    times
        Seconds of one run on a whole machine, shape (cores, sizes); None if no law predicts it.
    measured_to
        Index of the largest size that is at most twice the largest measured size; -1 for none.
    """

    unit: str
    sizes: tuple[str, ...]
    needed_gb: tuple[float, ...]
    memory_gb: tuple[int, ...]
    fits: tuple[tuple[bool, ...], ...]
    cores: tuple[int, ...]
    times: tuple[tuple[Range | None, ...], ...]
    measured_to: int


def feasibility_info(fit: ModelFit, machine: Machine) -> FeasibilityInfo:
    """Memory and time of production runs (one seed; one member of 30 steps) with the fit's preset.

    Parameters
    ----------
    fit
        The fitted laws.
    machine
        Machine whose cores the times are for; its number of cores is varied.
    """
    asked = get_model(fit.model).costs.sizes
    sizes, needed, times, reach = [], [], [], -1
    for size in asked.feasibility:
        job = sized_job(fit.model, size, size)
        with contextlib.suppress(UserError):
            one = estimate(job, fit)
            sizes.append(f"{size}{asked.mark}")
            needed.append(one.memory.high / 1e9)
            column: list[Range | None] = []
            for cores in CORES:
                try:
                    there = time_factors(fit, dataclasses.replace(machine, cores=cores), 1)
                    column.append(there.seconds(one, one.compile_s))
                except UserError:
                    column.append(None)
            times.append(column)
            if job.size <= 2 * fit.largest_size:
                reach = len(sizes) - 1
    return FeasibilityInfo(
        unit=asked.axis,
        sizes=tuple(sizes),
        needed_gb=tuple(needed),
        memory_gb=MEMORY_SIZES_GB,
        fits=tuple(tuple(each <= room for each in needed) for room in MEMORY_SIZES_GB),
        cores=CORES,
        times=tuple(tuple(column[place] for column in times) for place in range(len(CORES))),
        measured_to=reach,
    )


def feasibility_figure(info: FeasibilityInfo) -> go.Figure:
    """Memory against size; green cells fit."""
    figure = go.Figure(
        go.Heatmap(
            z=[[float(each) for each in row] for row in info.fits],
            x=list(info.sizes),
            y=[f"{room} GB" for room in info.memory_gb],
            colorscale=[[0, "#f3d9cc"], [1, "#bfe3d4"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
            text=[
                [
                    bytes_text(need * 1e9) if ok else ""
                    for need, ok in zip(info.needed_gb, row, strict=True)
                ]
                for row in info.fits
            ],
            texttemplate="%{text}",
            hoverinfo="skip",
        )
    )
    if 0 <= info.measured_to < len(info.sizes) - 1:
        figure.add_vline(x=info.measured_to + 0.5, line={"dash": "dot", "color": BLACK})
    styled(figure, 440)
    figure.update_xaxes(title_text=info.unit, type="category")
    figure.update_yaxes(title_text="memory of the machine", type="category")
    return figure


def hours_figure(info: FeasibilityInfo) -> go.Figure:
    """Hours of one production run against size, one line per number of cores."""
    figure = go.Figure()
    all_hours: list[float] = []
    for place, (cores, row) in enumerate(zip(info.cores, info.times, strict=True)):
        points = [
            (size, time) for size, time in zip(info.sizes, row, strict=True) if time is not None
        ]
        if not points:
            continue
        hours = [time.value / 3600 for _, time in points]
        all_hours += hours
        figure.add_trace(
            go.Scatter(
                x=[size for size, _ in points],
                y=hours,
                mode="lines+markers",
                name=f"{cores} CPU{'s' if cores != 1 else ''}",
                line={"color": SERIES[place % len(SERIES)]},
                hovertext=[f"{size}, {cores} CPUs: {time_text(time)}" for size, time in points],
                hoverinfo="text",
            )
        )
    styled(figure, 400)
    # Lines may lack sizes, so the order of all sizes is given.
    order = {"categoryorder": "array", "categoryarray": list(info.sizes)}
    figure.update_xaxes(title_text=info.unit, type="category", **order)
    figure.update_yaxes(title_text="hours of one production run", **spread_axis(all_hours))
    return figure

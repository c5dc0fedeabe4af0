"""Scaling laws against size with the measurements behind them, one line per part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from perfkit.capacity.laws.fit import ONCE, ModelFit
from perfkit.capacity.laws.observation import Observation, has_part_times
from perfkit.models import get_model
from perfkit.report.style import SERIES, shortened, spread_axis, styled
from perfkit.units import seconds_text

CURVE_POINTS = 60
"""Points of each curve, evenly spaced on a logarithmic axis."""


class LawCurve(NamedTuple):
    """One part of the model.

    Attributes
    ----------
    name
        Name of the part.
    sizes, seconds
        The law: seconds per run against size, shape (:data:`CURVE_POINTS`,) each.
    measured_sizes, measured_s
        The trials: seconds per run against size, shape (trials,) each.
    """

    name: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    measured_sizes: tuple[float, ...]
    measured_s: tuple[float, ...]


class LawsInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    curves
        One curve per part.
    reach
        Largest measured size.
    """

    curves: tuple[LawCurve, ...]
    reach: float


def laws_info(fit: ModelFit, trials: Sequence[Observation]) -> LawsInfo:
    """The curve of each part up to twice the largest measured size.

    The features other than size are those of the trial with the nearest size.

    Parameters
    ----------
    fit
        The fitted laws.
    trials
        Trials that the laws were fitted to.
    """
    costs = get_model(fit.model).costs
    main = costs.features[0].name
    held = [feature.name for feature in costs.features if feature.from_fidelity]
    measured = [one for one in trials if has_part_times(one) and one.cpus == fit.cpus]
    largest = max(measured, key=lambda one: one.features[main]).features
    alike = [one for one in measured if all(one.features[n] == largest[n] for n in held)]
    sizes = [
        float(size) for size in np.geomspace(fit.least_size, 2 * fit.largest_size, CURVE_POINTS)
    ]
    places = [
        costs.resized(_nearest(alike, main, size).features, size, fit.settings) for size in sizes
    ]
    curves = tuple(
        LawCurve(
            name,
            tuple(sizes),
            tuple(law.value(place) for place in places),
            tuple(one.features[main] for one in alike if name in one.seconds),
            tuple(one.seconds[name] for one in alike if name in one.seconds),
        )
        for name, law in fit.laws.items()
        if name not in ONCE and law.terms
    )
    return LawsInfo(curves, fit.largest_size)


def _nearest(measured: Sequence[Observation], main: str, size: float) -> Observation:
    return min(measured, key=lambda one: abs(math.log(one.features[main] / size)))


def laws_figure(info: LawsInfo) -> go.Figure:
    """Lines and dots on logarithmic axes; a dotted line marks the largest measured size."""
    figure = go.Figure()
    for index, curve in enumerate(info.curves):
        colour = SERIES[index % len(SERIES)]
        figure.add_trace(
            go.Scatter(
                x=curve.sizes,
                y=curve.seconds,
                mode="lines",
                name=shortened(curve.name.replace("_", " ")),
                line={"color": colour},
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=curve.measured_sizes,
                y=curve.measured_s,
                mode="markers",
                marker={"color": colour, "size": 8},
                showlegend=False,
                hovertext=[
                    f"{shortened(curve.name)} at {size:g}: {seconds_text(second)}"
                    for size, second in zip(curve.measured_sizes, curve.measured_s, strict=True)
                ],
                hoverinfo="text",
            )
        )
    figure.add_vline(x=info.reach, line={"dash": "dot", "color": SERIES[-1]})
    styled(figure, 420)
    times = [second for curve in info.curves for second in curve.seconds if second > 0]
    figure.update_xaxes(title_text="size", type="log")
    figure.update_yaxes(title_text="seconds per run of the part", **spread_axis(times))
    return figure

"""Roofline: the modules of the model under the measured ceilings of the machine.

S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", Communications of the ACM 52 (2009).
"""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.roofline.limit import Limit
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.report.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    shortened,
    styled,
    wrapped,
)
from perfkit.units import GIGA

LEAST_SHARE = 0.002
"""Smallest share of the pass that a module in the figure has. Others would only clutter it."""

CEILINGS = ("bfloat16_flops_per_s", "float32_flops_per_s", "copy_bytes_per_s")
"""Ceilings that :mod:`perfkit.observers.roofline.ceilings` measures on a machine."""

NAMED_SHARE = 0.05
"""Smallest share of the pass from which a module is labelled; others have a hover label only."""

LIMIT_COLOURS = {
    Limit.COMPUTE: BLUE,
    Limit.BANDWIDTH: SKY,
    Limit.SINGLE: ORANGE,
    Limit.FAULTS: VERMILION,
    Limit.WAITING: PURPLE,
    Limit.UNKNOWN: GREY,
}


class RooflinePoint(NamedTuple):
    """One module.

    Attributes
    ----------
    name
        Name of the module.
    intensity
        Arithmetic intensity in FLOP per byte.
    flops_per_s
        Rate in FLOP/s.
    share
        Share of the pass, from 0 to 1.
    limit
        What limits the module.
    """

    name: str
    intensity: float
    flops_per_s: float
    share: float
    limit: Limit


class RooflineInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    points
        Modules, longest time first.
    products
        Ceilings of matrix products in FLOP/s, by name.
    copy_bytes_per_s
        Ceiling of the memory bandwidth in bytes/s.
    """

    points: tuple[RooflinePoint, ...]
    products: dict[str, float]
    copy_bytes_per_s: float


def roofline_info(seen: XlaResult) -> RooflineInfo | None:
    """The modules that compute anything, and the ceilings.

    Returns
    -------
    RooflineInfo or None
        None if the trace was recorded without ceilings.
    """
    if not all(seen.ceilings.get(name, 0.0) > 0 for name in CEILINGS):
        return None
    points = tuple(
        RooflinePoint(
            module.name,
            module.flops / module.bytes,
            module.flops_per_s,
            module.share,
            module.limit,
        )
        for module in seen.modules
        if module.flops > 0 and module.bytes > 0 and module.share >= LEAST_SHARE
    )
    products = {
        "bfloat16 matrix product": seen.ceilings["bfloat16_flops_per_s"],
        "float32 matrix product": seen.ceilings["float32_flops_per_s"],
    }
    return RooflineInfo(points, products, seen.ceilings["copy_bytes_per_s"])


def roofline_figure(info: RooflineInfo) -> go.Figure:
    """One dot per module on logarithmic axes. The size of a dot is the share of the pass."""
    figure = go.Figure()
    intensities = [point.intensity for point in info.points] or [1.0]
    least, most = min(*intensities, 0.1), max(*intensities, 1000.0)
    for (name, roof), dash in zip(info.products.items(), ("solid", "dash"), strict=True):
        ridge = roof / info.copy_bytes_per_s
        figure.add_trace(
            go.Scatter(
                x=[least, ridge, max(most, ridge)],
                y=[least * info.copy_bytes_per_s / GIGA, roof / GIGA, roof / GIGA],
                mode="lines",
                line={"color": BLACK, "width": 1.2, "dash": dash},
                name=name,
                hoverinfo="name",
            )
        )
    for limit, colour in LIMIT_COLOURS.items():
        chosen = [point for point in info.points if point.limit is limit]
        if not chosen:
            continue
        figure.add_trace(
            go.Scatter(
                x=[point.intensity for point in chosen],
                y=[point.flops_per_s / GIGA for point in chosen],
                mode="markers+text",
                marker={
                    "color": colour,
                    "size": [8 + 60 * point.share**0.5 for point in chosen],
                    "opacity": 0.75,
                },
                text=[
                    shortened(point.name, 30) if point.share > NAMED_SHARE else ""
                    for point in chosen
                ],
                textposition="bottom center",
                textfont={"size": 11},
                hovertext=[
                    f"{wrapped(point.name)}<br>{100 * point.share:.1f} % of the pass<br>"
                    f"{point.flops_per_s / GIGA:.1f} GFLOP/s, {point.intensity:.1f} FLOP per byte"
                    for point in chosen
                ],
                hoverinfo="text",
                name=limit.value,
            )
        )
    styled(figure, 520)
    figure.update_xaxes(title_text="FLOP per byte", type="log", dtick=1)
    figure.update_yaxes(title_text="GFLOP/s", type="log", dtick=1)
    return figure

"""Each module of the model under the roofs that were measured on the machine.

S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", Communications of the ACM 52 (2009).
"""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.observers.roofline.limit import Limit
from perfkit.observers.trace.xla_trace import XlaSeen
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

GIGA = 1e9
LEAST_SHARE = 0.002
"""Modules with a smaller share of the pass would only cover the others."""

CEILINGS = ("bfloat16_flops_per_s", "float32_flops_per_s", "copy_bytes_per_s")
"""What :mod:`perfkit.observers.roofline.ceilings` measures of a machine."""

NAMED_SHARE = 0.05
"""Modules with a smaller share are named where the pointer is."""

LIMIT_COLOURS = {
    Limit.COMPUTE: BLUE,
    Limit.BANDWIDTH: SKY,
    Limit.SINGLE: ORANGE,
    Limit.FAULTS: VERMILION,
    Limit.WAITING: PURPLE,
    Limit.UNKNOWN: GREY,
}


class RooflinePoint(NamedTuple):
    """One module: FLOP a byte, FLOP/s, its share of the pass, and what limits it."""

    name: str
    intensity: float
    flops_per_s: float
    share: float
    limit: Limit


class RooflineInfo(NamedTuple):
    """Modules and the roofs above them, in FLOP/s and bytes/s."""

    points: tuple[RooflinePoint, ...]
    products: dict[str, float]
    copy_bytes_per_s: float


def roofline_info(seen: XlaSeen) -> RooflineInfo | None:
    """The modules that compute anything, most time first, under the ceilings of their types.

    None where the record holds no ceilings.
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
    """Logarithmic axes; the size of a mark is its module's share of the pass."""
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
                    f"{point.flops_per_s / GIGA:.1f} GFLOP/s, {point.intensity:.1f} FLOP a byte"
                    for point in chosen
                ],
                hoverinfo="text",
                name=limit.value,
            )
        )
    styled(figure, 520)
    figure.update_xaxes(title_text="FLOP a byte", type="log", dtick=1)
    figure.update_yaxes(title_text="GFLOP/s", type="log", dtick=1)
    return figure

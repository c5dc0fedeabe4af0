"""The time of a production prediction, added up from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.style import SERIES, labelled_rows, rows_height_px, styled, wrapped
from perfkit.tune.extrapolate import Extrapolation
from perfkit.units import HOUR_S, MINUTE_S, percent_text, seconds_text

UNITS = ((2 * HOUR_S, HOUR_S, "hours"), (2 * MINUTE_S, MINUTE_S, "minutes"))
"""From how many seconds an axis counts in the unit, its seconds, its name."""


class ProductionPart(NamedTuple):
    """All runs of one part in one prediction, together, in seconds."""

    name: str
    runs: int
    total_s: float


class ProductionBar(NamedTuple):
    """One configuration; ``check_error`` is predicted over measured less one for a longer run."""

    label: str
    parts: tuple[ProductionPart, ...]
    total_s: float
    check_error: float | None


class ProductionInfo(NamedTuple):
    """Bars in the order given, and the fidelity they are for."""

    fidelity: dict[str, int]
    bars: tuple[ProductionBar, ...]


def production_info(extrapolations: Sequence[Extrapolation]) -> ProductionInfo | None:
    """Totals of the parts of every extrapolation, None where there is none."""
    if not extrapolations:
        return None
    bars = tuple(
        ProductionBar(
            each.label,
            tuple(ProductionPart(p.name, p.count, p.seconds * p.count) for p in each.parts),
            each.total.median,
            each.check.error if each.check is not None else None,
        )
        for each in extrapolations
    )
    return ProductionInfo(extrapolations[0].fidelity, bars)


def check_text(extrapolation: Extrapolation) -> str:
    """How the extrapolation compares with a longer run, or that it was not checked."""
    check = extrapolation.check
    if check is None:
        return "not checked against a longer run"
    return (
        f"a longer run was predicted at {seconds_text(check.predicted_s)} and took "
        f"{seconds_text(check.measured_s)}: {percent_text(check.error, signed=True)}"
    )


def production_figure(info: ProductionInfo) -> go.Figure:
    """A stacked bar a configuration, its total at the end."""
    longest_s = max(bar.total_s for bar in info.bars)
    unit_s, unit = next(
        ((unit_s, name) for least, unit_s, name in UNITS if longest_s >= least), (1, "seconds")
    )
    labels = [wrapped(bar.label) for bar in info.bars]
    figure = go.Figure()
    names = list(dict.fromkeys(part.name for bar in info.bars for part in bar.parts))
    for place, name in enumerate(names):
        chosen = [
            (row, part)
            for row, bar in enumerate(info.bars)
            for part in bar.parts
            if part.name == name
        ]
        figure.add_trace(
            go.Bar(
                x=[part.total_s / unit_s for _, part in chosen],
                y=[row for row, _ in chosen],
                orientation="h",
                width=0.6,
                name=wrapped(name.replace("_", " ")),
                marker={"color": SERIES[place % len(SERIES)]},
                hovertext=[
                    f"{wrapped(name)}: {part.runs} x "
                    f"{seconds_text(part.total_s / part.runs if part.runs else 0.0)} = "
                    f"{seconds_text(part.total_s)}"
                    for _, part in chosen
                ],
                hoverinfo="text",
            )
        )
    for row, bar in enumerate(info.bars):
        figure.add_annotation(
            x=bar.total_s / unit_s,
            y=row,
            xanchor="left",
            xshift=6,
            showarrow=False,
            text=f"<b>{seconds_text(bar.total_s)}</b>{_check(bar)}",
        )
    styled(figure, rows_height_px(labels, extra_px=110))
    labelled_rows(figure, labels)
    # Leaves room for the total at the end of the longest bar.
    figure.update_xaxes(title_text=f"{unit} a prediction", range=[0, 1.35 * longest_s / unit_s])
    return figure


def _check(bar: ProductionBar) -> str:
    if bar.check_error is None:
        return ""
    return f" (check {percent_text(bar.check_error, signed=True)})"

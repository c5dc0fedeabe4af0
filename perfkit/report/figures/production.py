"""Time of a production prediction as the sum of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.names import BASE_NAME, SHORT_LABEL
from perfkit.report.style import ROW_SHARE, SERIES, headed_rows, styled, wrapped
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.units import HOUR_S, MINUTE_S, percent_text, seconds_text

UNITS = ((2 * HOUR_S, HOUR_S, "hours"), (2 * MINUTE_S, MINUTE_S, "minutes"))
"""Units of the axis: least seconds from which it is used, its length in seconds, its name."""


class ProductionPart(NamedTuple):
    """One part of a prediction.

    Attributes
    ----------
    name
        Name of the part.
    runs
        Number of runs in one prediction.
    total_s
        Seconds of all runs together.
    """

    name: str
    runs: int
    total_s: float


class ProductionBar(NamedTuple):
    """One configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    name
        Its short name.
    parts
        Its parts.
    total_s
        Seconds of one prediction.
    check_error
        Predicted over measured time of a longer run, minus 1; None if it was not checked.
    """

    label: str
    name: str
    parts: tuple[ProductionPart, ...]
    total_s: float
    check_error: float | None


class ProductionInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    fidelity
        The production fidelity.
    bars
        One bar per configuration, in the order of the extrapolations.
    """

    fidelity: dict[str, int]
    bars: tuple[ProductionBar, ...]


def production_info(extrapolations: Sequence[Extrapolation]) -> ProductionInfo | None:
    """Totals of the parts of every extrapolation; None without extrapolations.

    Parameters
    ----------
    extrapolations
        Of stock and of the recommended configuration.
    """
    if not extrapolations:
        return None
    bars = tuple(
        ProductionBar(
            one.label,
            one.label if len(one.label) <= SHORT_LABEL else BASE_NAME,
            tuple(
                ProductionPart(part.name, part.count, part.seconds * part.count)
                for part in one.parts
            ),
            one.total.median,
            one.check.error if one.check is not None else None,
        )
        for one in extrapolations
    )
    return ProductionInfo(extrapolations[0].fidelity, bars)


def check_text(extrapolation: Extrapolation) -> str:
    """Describe the check of an extrapolation against a longer run."""
    check = extrapolation.check
    if check is None:
        return "not checked against a longer run"
    return (
        f"a longer run was predicted at {seconds_text(check.predicted_s)} and took "
        f"{seconds_text(check.measured_s)}: {percent_text(check.error, signed=True)}"
    )


def production_figure(info: ProductionInfo) -> go.Figure:
    """One stacked bar per configuration, below its total."""
    longest_s = max(bar.total_s for bar in info.bars)
    unit_s, unit = next(
        ((unit_s, name) for least, unit_s, name in UNITS if longest_s >= least), (1, "seconds")
    )
    figure = go.Figure()
    names = list(dict.fromkeys(part.name for bar in info.bars for part in bar.parts))
    for index, name in enumerate(names):
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
                width=ROW_SHARE,
                name=wrapped(name.replace("_", " ")),
                marker={"color": SERIES[index % len(SERIES)]},
                hovertext=[
                    f"{wrapped(name)}: {part.runs} x "
                    f"{seconds_text(part.total_s / part.runs if part.runs else 0.0)} = "
                    f"{seconds_text(part.total_s)}"
                    for _, part in chosen
                ],
                hoverinfo="text",
            )
        )
    headings = [
        f"{wrapped(bar.name)}<br><b>{seconds_text(bar.total_s)}</b>{_check(bar)}"
        for bar in info.bars
    ]
    headed_rows(styled(figure), headings)
    figure.update_xaxes(title_text=f"{unit} per prediction", rangemode="tozero")
    return figure


def _check(bar: ProductionBar) -> str:
    if bar.check_error is None:
        return ""
    return f" (check {percent_text(bar.check_error, signed=True)})"

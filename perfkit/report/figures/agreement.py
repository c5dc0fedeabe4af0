"""Distances of the answers from the reference, against the limits of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.answers.agreement import Tolerance
from perfkit.records.schema import Record
from perfkit.report.status import Status
from perfkit.report.style import GREEN, MARKS, PALE, VERMILION, headed_rows, shortened, styled
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import distance_text, percent_text

FLOOR = 1e-4
"""Smallest share of the limit on the axis: smaller ones, and bitwise equal answers, are drawn
there."""


class AgreementPoint(NamedTuple):
    """The distance of one configuration.

    Attributes
    ----------
    status
        Whose distance it is: stock or recommended.
    distance
        Distance from the reference, without unit.
    """

    status: Status
    distance: float


class AgreementRow(NamedTuple):
    """One compared quantity.

    Attributes
    ----------
    quantity
        Its name.
    limit
        Largest distance that is allowed, without unit.
    points
        Distances of stock and of the recommended configuration, where they were compared.
    why
        What the quantity represents.
    """

    quantity: str
    limit: float
    points: tuple[AgreementPoint, ...]
    why: str


class AgreementInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    rows
        The compared quantities with a limit.
    """

    rows: tuple[AgreementRow, ...]


def agreement_info(
    records: Sequence[Record],
    recommendation: Recommendation,
    tolerances: Mapping[str, Tolerance],
) -> AgreementInfo | None:
    """Distances of stock and of the recommended configuration; None if none has a limit.

    Parameters
    ----------
    records
        Records of the study. Of each configuration, the last compared answer of the whole network
        counts, or else that of a shallow one.
    recommendation
        Recommendation from the same records.
    tolerances
        Limits of the model by quantity.
    """
    found: dict[str, list[AgreementPoint]] = {}
    allowed: dict[str, float] = {}
    why: dict[str, str] = {}
    wanted = {Status.STOCK: recommendation.stock, Status.RECOMMENDED: recommendation.best}
    if recommendation.best is recommendation.stock:
        del wanted[Status.RECOMMENDED]
    for status, row in wanted.items():
        digest = None if row is None else row.digest
        judged = [
            (record.is_prediction, record.agreement)
            for record in records
            if record.configuration.digest == digest and record.agreement is not None
        ]
        if not judged:
            continue
        own = [agreement for full, agreement in judged if full] or [judged[-1][1]]
        for quantity in own[-1].quantities:
            tolerance = tolerances.get(quantity.name)
            if tolerance is None or quantity.distance is None:
                continue
            declared = own[-1].declared
            limit = tolerance.float32 if declared in ("bitwise", "float32") else tolerance.bfloat16
            found.setdefault(quantity.name, []).append(AgreementPoint(status, quantity.distance))
            # The recommended configuration comes last: its limit is the one that matters.
            allowed[quantity.name] = limit
            why[quantity.name] = quantity.why or tolerance.why
    rows = tuple(
        AgreementRow(name, allowed[name], tuple(points), why[name])
        for name, points in found.items()
        if allowed[name] > 0
    )
    return AgreementInfo(rows) if rows else None


def agreement_figure(info: AgreementInfo) -> go.Figure:
    """One row per quantity; the distances are shares of the limit, on a logarithmic axis."""
    figure = go.Figure()
    for status in (Status.STOCK, Status.RECOMMENDED):
        chosen = [
            (position, row, point)
            for position, row in enumerate(info.rows)
            for point in row.points
            if point.status is status
        ]
        if not chosen:
            continue
        figure.add_trace(
            go.Scatter(
                x=[max(FLOOR, point.distance / row.limit) for _, row, point in chosen],
                y=[position for position, _, _ in chosen],
                mode="markers",
                name=status.value,
                marker={
                    "color": MARKS[status].colour,
                    "symbol": MARKS[status].symbol,
                    "size": 11,
                },
                hovertext=[
                    f"{shortened(row.quantity)}<br>{status}: {distance_text(point.distance)}, "
                    f"{percent_text(point.distance / row.limit)} of the limit"
                    for _, row, point in chosen
                ],
                hoverinfo="text",
            )
        )
    headed_rows(styled(figure), [_heading(row) for row in info.rows])
    shares = [point.distance / row.limit for row in info.rows for point in row.points]
    begin = math.log10(max(FLOOR, min(shares))) - 0.4
    end = max(0.2, math.log10(max(FLOOR, *shares)) + 0.2)
    figure.update_xaxes(
        type="log",
        title_text="distance from the reference, as a share of the limit",
        range=[begin, end],
        tickvals=[0.0001, 0.001, 0.01, 0.1, 1, 10],
        ticktext=["≤ 0.01 %", "0.1 %", "1 %", "10 %", "limit", "10 times"],
    )
    figure.add_vline(x=1, line={"color": VERMILION, "width": 2, "dash": "dash"}, layer="below")
    figure.add_vrect(x0=10**begin, x1=1, fillcolor=GREEN, opacity=0.06, line_width=0, layer="below")
    figure.update_xaxes(gridcolor=PALE)
    return figure


def _heading(row: AgreementRow) -> str:
    distances = ", ".join(f"{point.status} {distance_text(point.distance)}" for point in row.points)
    name = shortened(row.quantity.replace("_", " "))
    return f"{name}<br>{distances}; limit {distance_text(row.limit)}"

"""How many configurations a search looked at, and how closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.depths import FULL_DEPTH
from perfkit.records.schema import Outcome, Record
from perfkit.report.style import BLUE, GREEN, SKY, VERMILION, labelled_rows, rows_height_px, styled
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.search.evidence import COMPARED, Evidence
from perfkit.units import count_text


class LookedInfo(NamedTuple):
    """Data of the figure: numbers of configurations, without stock.

    Attributes
    ----------
    total
        Configurations with any trial.
    shallow
        Configurations that were screened on a shallow network.
    whole
        Configurations that were measured on the whole network.
    confirmed
        Configurations that were compared with stock in fresh processes.
    failed
        Configurations that cannot be recommended, by outcome.
    """

    total: int
    shallow: int
    whole: int
    confirmed: int
    failed: Mapping[Outcome, int]


def looked_info(records: Sequence[Record], recommendation: Recommendation) -> LookedInfo:
    """Numbers of configurations by how closely they were looked at.

    Parameters
    ----------
    records
        Records of one prediction in a study, at any depth.
    recommendation
        Recommendation from the same records.
    """
    looked: dict[bool, set[str]] = {True: set(), False: set()}
    for record in records:
        if record.role in COMPARED and record.configuration.settings:
            looked[record.workload.depth == FULL_DEPTH].add(record.configuration.digest)
    failed: dict[Outcome, int] = {}
    for row in recommendation.rows:
        if row.settings and row.outcome not in (Outcome.OK, Outcome.INTERRUPTED):
            failed[row.outcome] = failed.get(row.outcome, 0) + 1
    return LookedInfo(
        total=len(looked[True] | looked[False]),
        shallow=len(looked[False]),
        whole=len(looked[True]),
        confirmed=len(Evidence.of_records(records).finalists),
        failed=failed,
    )


def looked_sentence(info: LookedInfo) -> str:
    """The numbers in one sentence; empty if the search looked at nothing but stock."""
    if not info.total:
        return ""
    parts = [
        f"{number} {what}"
        for number, what in (
            (info.shallow, "on a shallow network"),
            (info.whole, "on the whole network"),
            (info.confirmed, "confirmed in fresh processes"),
        )
        if number
    ]
    verb = "was" if info.total == 1 else "were"
    return f"{count_text(info.total, 'configuration')} {verb} looked at: {', '.join(parts)}."


def looked_figure(info: LookedInfo) -> go.Figure:
    """One bar per step of the search, and one for the configurations that failed."""
    outcomes = ", ".join(
        f"{outcome.value.replace('_', ' ')} {number}" for outcome, number in info.failed.items()
    )
    bars = [
        ("screened on a shallow network", info.shallow, SKY, ""),
        ("measured on the whole network", info.whole, BLUE, ""),
        ("confirmed in fresh processes", info.confirmed, GREEN, ""),
        ("failed, or wrong answer", sum(info.failed.values()), VERMILION, outcomes),
    ]
    shown = [bar for bar in bars if bar[1]]
    texts = [f"{number} ({note})" if note else str(number) for _, number, _, note in shown]
    figure = go.Figure(
        go.Bar(
            x=[number for _, number, _, _ in shown],
            y=list(range(len(shown))),
            orientation="h",
            width=0.6,
            marker={"color": [colour for _, _, colour, _ in shown]},
            text=texts,
            textposition="auto",
            hoverinfo="skip",
        )
    )
    labels = [label.replace(" on ", "<br>on ").replace(" in ", "<br>in ") for label, *_ in shown]
    styled(figure, rows_height_px(labels, least_lines=2))
    labelled_rows(figure, labels)
    figure.update_xaxes(title_text="configurations", rangemode="tozero")
    return figure

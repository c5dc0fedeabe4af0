"""Two folders of records next to each other: time of every configuration in both."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.records.roles import NOT_COMPARED
from perfkit.records.schema import Outcome, Record
from perfkit.report.facts import workload_text
from perfkit.report.style import (
    BLACK,
    BLUE,
    GREY,
    headed_rows,
    shortened,
    spread_axis,
    styled,
    wrapped,
)
from perfkit.stats.exact import unpaired_ratio
from perfkit.stats.interval import Interval
from perfkit.units import bytes_text, ratio_text, seconds_text

MOST_ROWS = 40
"""Most rows of the figure."""

OLD, NEW = "old", "new"

type _Key = tuple[str, int, str, tuple[tuple[str, int], ...]]
"""Model, size, digest of the input, and fidelity."""


class Side(NamedTuple):
    """A configuration in one of the folders.

    Attributes
    ----------
    processes_s
        Wall seconds of the steady passes, one group per process.
    peak_rss_bytes
        Largest resident set of any trial; 0 if unknown.
    agreement
        Agreement class of the last compared answer; empty if none was compared.
    """

    processes_s: tuple[tuple[float, ...], ...]
    peak_rss_bytes: int
    agreement: str

    @property
    def time_s(self) -> float:
        """Median over processes of the median of their passes, in seconds."""
        return statistics.median(map(statistics.median, self.processes_s))


class SidesRow(NamedTuple):
    """A configuration on a workload that both folders measured.

    Attributes
    ----------
    workload
        Name, size and fidelity of the workload.
    label
        Label of the configuration.
    old, new
        The configuration in each folder; None where it was not measured.
    """

    workload: str
    label: str
    old: Side | None
    new: Side | None

    @property
    def ratio(self) -> Interval | None:
        """Time of the new folder over that of the old one; None without either."""
        if self.old is None or self.new is None:
            return None
        return unpaired_ratio(self.old.processes_s, self.new.processes_s)


class SidesInfo(NamedTuple):
    """Data of the figure and of its table.

    Attributes
    ----------
    rows
        Rows by workload; within one, those of both folders first, then the fastest first.
    """

    rows: tuple[SidesRow, ...]


def sides_info(old: Sequence[Record], new: Sequence[Record]) -> SidesInfo | None:
    """Every configuration of the workloads that both folders measured; None without such.

    Configurations need not be in both, so that two presets can be compared, each on its own
    records; and neither need the machine be the same.

    Parameters
    ----------
    old, new
        Records of the folders.
    """
    before, after = _grouped(old), _grouped(new)
    rows = []
    for key in before.keys() & after.keys():
        labels = dict.fromkeys((*before[key], *after[key]))
        for label in labels:
            sides = [_side(group[key].get(label, ())) for group in (before, after)]
            if any(sides):
                some = (before[key].get(label) or after[key].get(label) or [])[-1]
                rows.append(SidesRow(workload_text(some.workload), label, *sides))
    rows.sort(key=lambda row: (row.workload, row.old is None or row.new is None, _fastest_s(row)))
    return SidesInfo(tuple(rows)) if rows else None


def sides_figure(info: SidesInfo, most: int = MOST_ROWS) -> go.Figure:
    """Two dots per row, joined by a line: the time in the old and in the new folder.

    Parameters
    ----------
    info
        The rows.
    most
        Most rows that are drawn.
    """
    rows = info.rows[:most]
    figure = go.Figure()
    x: list[float | None] = []
    y: list[float | None] = []
    for position, row in enumerate(rows):
        if row.old is not None and row.new is not None:
            x += [row.old.time_s, row.new.time_s, None]
            y += [position, position, None]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": GREY, "width": 3},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for name, colour, symbol in ((OLD, BLACK, "square"), (NEW, BLUE, "star")):
        chosen = [
            (position, row, side)
            for position, row in enumerate(rows)
            if (side := row.old if name == OLD else row.new) is not None
        ]
        figure.add_trace(
            go.Scatter(
                x=[side.time_s for _, _, side in chosen],
                y=[position for position, _, _ in chosen],
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 11},
                hovertext=[
                    f"{wrapped(row.label)}<br>{wrapped(row.workload)}<br>{name}: "
                    f"{seconds_text(side.time_s)}, {bytes_text(side.peak_rss_bytes)}"
                    for _, row, side in chosen
                ],
                hoverinfo="text",
            )
        )
    several = len({row.workload for row in rows}) > 1
    headed_rows(styled(figure), [_heading(row, several=several) for row in rows])
    times_s = [side.time_s for row in rows for side in (row.old, row.new) if side is not None]
    figure.update_xaxes(title_text="seconds per pass (median)", **spread_axis(times_s))
    return figure


def _grouped(records: Iterable[Record]) -> dict[_Key, dict[str, list[Record]]]:
    found: dict[_Key, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        good = record.outcome is Outcome.OK and record.steady and record.is_prediction
        if good and record.role not in NOT_COMPARED:
            workload = record.workload
            fidelity = tuple(sorted(workload.fidelity.items()))
            key = (workload.model, workload.size, workload.input_digest, fidelity)
            found[key][record.configuration.label].append(record)
    return found


def _side(records: Sequence[Record]) -> Side | None:
    if not records:
        return None
    judged = [record.agreement.reached for record in records if record.agreement is not None]
    return Side(
        tuple(tuple(stage.wall_s for stage in record.steady) for record in records),
        max(record.peak_rss_bytes for record in records),
        judged[-1] if judged else "",
    )


def _fastest_s(row: SidesRow) -> float:
    return min(side.time_s for side in (row.old, row.new) if side is not None)


def _heading(row: SidesRow, *, several: bool) -> str:
    ratio = row.ratio
    value = f"only {OLD if row.new is None else NEW}" if ratio is None else f"{ratio_text(ratio)}"
    name = wrapped(row.label)
    place = f"{shortened(row.workload)}<br>" if several else ""
    return f"{place}{name}<br><b>{value}</b>"

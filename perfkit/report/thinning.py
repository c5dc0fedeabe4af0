"""What a page leaves out of a large study, because a reader could not see it.

The data of a figure stay whole: what is left out is chosen here, for the page alone, and the page
states it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfkit.records.schema import Outcome, Record
from perfkit.report.figures.passes import PassesInfo, PassGroup
from perfkit.report.figures.time_memory import TimeMemoryInfo, TimeMemoryPoint
from perfkit.report.figures.timeline import TimelineInfo, TimelinePanel
from perfkit.report.status import only_screened
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.rows import Row
from perfkit.units import count_text

MOST_CONFIGURATIONS = 60
"""Most configurations in a figure or table; a figure of 60 rows is four screens high."""

MOST_POINTS = 600
"""Most points of a line: about two for three pixels of a page."""

MOST_DOTS = 300
"""Number of dots of a figure up to which none is hidden by others."""

CELLS = (200, 70)
"""Columns and rows of the grid on which dots are thinned: a third of a dot wide and high."""

MOST_PASSES = 2000
"""Most dots of a figure of passes."""


@dataclass(frozen=True)
class Shortlist:
    """The configurations that a page shows.

    Attributes
    ----------
    recommendation
        The recommendation with the rows that are shown, in its order.
    left_out
        The other rows, in the same order.
    """

    recommendation: Recommendation
    left_out: tuple[Row, ...]

    @property
    def sentence(self) -> str:
        """What is left out; empty if nothing is."""
        if not self.left_out:
            return ""
        shown = len(self.recommendation.rows)
        total = count_text(shown + len(self.left_out), "configuration")
        failed = sum(row.outcome is not Outcome.OK for row in self.left_out)
        failures = f", {failed:,} of which failed" if failed else ""
        return (
            f"{shown:,} of {total} are shown: those that the recommendation names, and then the "
            f"fastest. {len(self.left_out):,} are left out{failures}; "
            "'perfkit report --data' writes all of them."
        )

    def records(self, records: Sequence[Record]) -> list[Record]:
        """Those of ``records`` whose configurations are shown, in their order."""
        if not self.left_out:
            return list(records)
        digests = {row.digest for row in self.recommendation.rows}
        return [record for record in records if record.configuration.digest in digests]


def shortlist(recommendation: Recommendation, most: int = MOST_CONFIGURATIONS) -> Shortlist:
    """Choose the configurations that a page shows.

    Stock, the recommended configuration, its equals and the front of time and memory are always
    shown. Configurations that were measured on the whole network, and those that were only
    screened, count separately, since a page has them in different figures.

    Parameters
    ----------
    recommendation
        Recommendation of a study.
    most
        Most configurations of each of the two kinds.
    """
    named = {
        row.digest
        for row in (
            recommendation.stock,
            recommendation.best,
            *recommendation.equals,
            *recommendation.front,
        )
        if row is not None
    }
    kept: set[str] = set()
    for screened in (False, True):
        rows = [row for row in recommendation.rows if only_screened(row) is screened]
        ordered = sorted(rows, key=lambda row: row.digest not in named)
        kept |= named.intersection(row.digest for row in rows)
        kept |= {row.digest for row in ordered[:most]}
    shown = tuple(row for row in recommendation.rows if row.digest in kept)
    left_out = tuple(row for row in recommendation.rows if row.digest not in kept)
    return Shortlist(replace(recommendation, rows=shown), left_out)


def latest_trials(records: Sequence[Record], most: int = MOST_CONFIGURATIONS) -> list[Record]:
    """The last trial of each configuration, if there are more than ``most`` trials.

    Parameters
    ----------
    records
        Records, oldest first.
    most
        Number of trials up to which all are kept.
    """
    if len(records) <= most:
        return list(records)
    last = {record.configuration.digest: record for record in records}
    return [record for record in records if last[record.configuration.digest] is record]


def extremes(values: Sequence[float], most: int = MOST_POINTS) -> list[int]:
    """Positions of the points of a line that a reader can see.

    The line is cut into stretches of equal numbers of points. Each keeps its smallest and its
    largest value, so that no peak is lost, and the line its first and last point.

    Parameters
    ----------
    values
        Values in the order in which they are drawn.
    most
        Number of points up to which all are kept; about as many are kept of a longer line.

    Returns
    -------
    list of int
        Positions, ascending.

    References
    ----------
    .. [1] U. Jugel, Z. Jerzak, G. Hackenbroich, V. Markl, "M4: A Visualization-Oriented Time Series
       Data Aggregation", Proceedings of the VLDB Endowment 7 (2014).
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    array = np.asarray(values, dtype=float)
    edges = np.linspace(0, count, max(1, most // 2) + 1, dtype=int)
    kept = {0, count - 1}
    for begin, end in itertools.pairwise(edges.tolist()):
        stretch = array[begin:end]
        kept.add(begin + int(stretch.argmin()))
        kept.add(begin + int(stretch.argmax()))
    return sorted(kept)


def thinned_passes(info: PassesInfo, most: int = MOST_PASSES) -> PassesInfo:
    """The passes that can be seen, see :func:`extremes`.

    Parameters
    ----------
    info
        The passes of all configurations.
    most
        Number of passes up to which all are kept. Configurations with few passes keep all of them,
        and the others share the rest equally.
    """
    lengths = sorted(len(group.wall_s) for group in info.groups)
    share, left = most, most
    for place, length in enumerate(lengths):
        share = left // (len(lengths) - place)
        if length > share:
            break
        left -= length
    return PassesInfo(tuple(_thinned_group(group, share) for group in info.groups))


def passes_sentence(whole: PassesInfo, drawn: PassesInfo) -> str:
    """How many passes are drawn."""
    total, shown = (sum(len(group.wall_s) for group in info.groups) for info in (whole, drawn))
    if total == shown:
        return "Every timed pass."
    return (
        f"{shown:,} of {total:,} timed passes: of each configuration, the fastest and the slowest "
        "in every stretch of time."
    )


def thinned_points(
    info: TimeMemoryInfo, most: int = MOST_DOTS, cells: tuple[int, int] = CELLS
) -> TimeMemoryInfo:
    """The dots that can be seen: of those that lie on each other, the first.

    Parameters
    ----------
    info
        All configurations.
    most
        Number of dots up to which all are kept.
    cells
        Columns and rows of a grid over the figure; dots of one status in one cell lie on each
        other.
    """
    if len(info.points) <= most:
        return info
    columns = _places(np.log([point.time_s for point in info.points]), cells[0])
    rows = _places(np.array([float(point.peak_rss_bytes) for point in info.points]), cells[1])
    kept: dict[tuple[int, int, str], TimeMemoryPoint] = {}
    for column, row, point in zip(columns, rows, info.points, strict=True):
        kept.setdefault((column, row, point.status), point)
    return info._replace(points=tuple(kept.values()))


def points_sentence(whole: TimeMemoryInfo, drawn: TimeMemoryInfo) -> str:
    """How many dots are drawn; empty if all are."""
    if drawn == whole:
        return ""
    return f"{len(drawn.points):,} of {len(whole.points):,} dots are drawn: the others lie on them."


def thinned_timeline(info: TimelineInfo, most: int = MOST_POINTS) -> TimelineInfo:
    """The samples that can be seen, see :func:`extremes`."""
    return TimelineInfo(tuple(_thinned_panel(panel, most) for panel in info.panels))


def _thinned_group(group: PassGroup, most: int) -> PassGroup:
    kept = extremes(group.wall_s, most)
    return group._replace(
        elapsed_s=tuple(group.elapsed_s[at] for at in kept),
        wall_s=tuple(group.wall_s[at] for at in kept),
    )


def _thinned_panel(panel: TimelinePanel, most: int) -> TimelinePanel:
    memory, cpus = extremes(panel.rss_bytes, most), extremes(panel.utilisation, most)
    return panel._replace(
        time_s=tuple(panel.time_s[at] for at in memory),
        rss_bytes=tuple(panel.rss_bytes[at] for at in memory),
        utilisation_time_s=tuple(panel.utilisation_time_s[at] for at in cpus),
        utilisation=tuple(panel.utilisation[at] for at in cpus),
    )


def _places(values: np.ndarray, count: int) -> list[int]:
    """Number of the cell of each value, in ``count`` equal cells from the least to the largest."""
    span = float(np.ptp(values)) or 1.0
    places: list[int] = np.floor((values - values.min()) / span * count).astype(int).tolist()
    return places

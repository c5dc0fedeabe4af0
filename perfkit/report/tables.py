"""The table of configurations as rows of text, for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass

from perfkit.report.plain_table import NOTHING
from perfkit.report.status import (
    Status,
    agreement_text,
    only_screened,
    outcome_text,
    status_of,
)
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.rows import Row
from perfkit.units import bytes_text, percent_text, ratio_text, seconds_interval_text


@dataclass(frozen=True)
class TableRow:
    """One configuration as texts.

    Attributes
    ----------
    configuration
        Label of the configuration.
    time
        Median steady time with its interval, in a unit that suits it.
    memory
        Peak resident memory.
    utilisation
        Share of the allowed CPUs in use, as a percentage.
    agreement
        Agreement class with the distance from the reference.
    speedup
        Speed-up over stock with its interval.
    outcome
        Outcome, and the reason if the trial failed.
    status
        Status in the study, for colour and emphasis.
    """

    configuration: str
    time: str
    memory: str
    utilisation: str
    agreement: str
    speedup: str
    outcome: str
    status: Status

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts in the order of :data:`HEADERS`."""
        return (
            self.configuration,
            self.time,
            self.memory,
            self.utilisation,
            self.agreement,
            self.speedup,
            self.outcome,
        )

    @property
    def badge(self) -> str:
        """Word in front of the label; empty for stock, whose label says it already."""
        return "" if self.status is Status.STOCK else self.status.value


HEADERS = (
    "configuration",
    "time",
    "memory",
    "utilisation",
    "agreement (distance)",
    "speed-up",
    "outcome",
)
"""Headers of the columns in :attr:`TableRow.cells`."""


def configuration_table(recommendation: Recommendation) -> tuple[TableRow, ...]:
    """One row per configuration, in the recommendation's order (fastest first).

    Configurations that were only screened on a shallow network are in :func:`screened_table`.
    """
    rows = (row for row in recommendation.rows if not only_screened(row))
    return tuple(_table_row(row, recommendation.best) for row in rows)


SCREENED_HEADERS = ("configuration", "screening gain", "agreement (distance)")


def screened_table(recommendation: Recommendation) -> tuple[tuple[str, ...], ...]:
    """The configurations that were only screened, largest gain first.

    Returns
    -------
    tuple of tuple of str
        Cells in the order of :data:`SCREENED_HEADERS`.
    """
    return tuple(
        (
            row.label,
            NOTHING if row.speedup is None else ratio_text(row.speedup),
            agreement_text(row),
        )
        for row in recommendation.rows
        if only_screened(row)
    )


def front_table(recommendation: Recommendation) -> tuple[TableRow, ...]:
    """One row per configuration on the front of time and memory, fastest first."""
    return tuple(_table_row(row, recommendation.best) for row in recommendation.front)


def _speedup_text(row: Row) -> str:
    if row.speedup is None:
        return NOTHING
    unconfirmed = row.settings and not row.blocks
    return ratio_text(row.speedup) + (" (unconfirmed)" if unconfirmed else "")


def _table_row(row: Row, best: Row | None) -> TableRow:
    return TableRow(
        configuration=row.label,
        time=NOTHING if row.time_s is None else seconds_interval_text(row.time_s),
        memory=bytes_text(row.peak_rss_bytes) if row.peak_rss_bytes else NOTHING,
        utilisation=NOTHING if row.utilisation is None else percent_text(row.utilisation),
        agreement=agreement_text(row),
        speedup=_speedup_text(row),
        outcome=outcome_text(row.outcome, row.reason),
        status=status_of(row, best),
    )

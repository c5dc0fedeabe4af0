"""Status of a configuration in a study, in the words that tables and figures share."""

from __future__ import annotations

from enum import StrEnum

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.schema import Outcome
from perfkit.tuning.choice.rows import Row
from perfkit.units import distance_text

NO_AGREEMENT = "none"
"""Agreement class of outputs outside every tolerance."""


class Status(StrEnum):
    """Status of a configuration; the value is the word shown to readers."""

    RECOMMENDED = "recommended"
    STOCK = "stock"
    AGREES = "agrees"
    UNJUDGED = "not compared"
    DISAGREES = "disagrees"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


def status_of(row: Row, best: Row | None) -> Status:
    """Status of a configuration.

    Parameters
    ----------
    row
        The configuration.
    best
        The recommended configuration, if any. Stock keeps its own status even if recommended.
    """
    if row.outcome in (Outcome.DISAGREES, Outcome.NONFINITE) or row.agreement == NO_AGREEMENT:
        return Status.DISAGREES
    if row.outcome is Outcome.INTERRUPTED:
        return Status.INTERRUPTED
    if row.outcome is not Outcome.OK:
        return Status.FAILED
    if row.label == STOCK_LABEL:
        return Status.STOCK
    if best is not None and row.digest == best.digest:
        return Status.RECOMMENDED
    return Status.AGREES if row.agreement is not None else Status.UNJUDGED


def only_screened(row: Row) -> bool:
    """Whether a configuration was compared, but never measured on the whole network by itself."""
    return bool(row.settings) and row.speedup is not None and row.time_s is None


def agreement_text(row: Row) -> str:
    """Agreement class with the distance, or *not compared*."""
    if row.agreement is None:
        return Status.UNJUDGED.value
    if row.distance is None:
        return row.agreement
    return f"{row.agreement} ({distance_text(row.distance)})"


def outcome_text(outcome: Outcome, reason: str) -> str:
    """The outcome in words, with its reason if there is one."""
    words = outcome.value.replace("_", " ")
    return f"{words}: {reason}" if reason else words

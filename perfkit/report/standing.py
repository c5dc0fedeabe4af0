"""How a configuration stands in a study, in words that tables and figures share."""

from __future__ import annotations

from enum import StrEnum

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.schema import Outcome
from perfkit.tune.rows import Row
from perfkit.units import distance_text

NO_AGREEMENT = "none"


class Standing(StrEnum):
    """What a reader should make of a configuration; the value is the word that is shown."""

    RECOMMENDED = "recommended"
    STOCK = "stock"
    AGREES = "agrees"
    UNJUDGED = "not compared"
    DISAGREES = "disagrees"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


def standing_of(row: Row, best: Row | None) -> Standing:
    """The standing of ``row`` where ``best`` is recommended; stock stays stock when it is best."""
    if row.outcome in (Outcome.DISAGREES, Outcome.NONFINITE) or row.agreement == NO_AGREEMENT:
        return Standing.DISAGREES
    if row.outcome is Outcome.INTERRUPTED:
        return Standing.INTERRUPTED
    if row.outcome is not Outcome.OK:
        return Standing.FAILED
    if row.label == STOCK_LABEL:
        return Standing.STOCK
    if best is not None and row.digest == best.digest:
        return Standing.RECOMMENDED
    return Standing.AGREES if row.agreement is not None else Standing.UNJUDGED


def agreement_text(row: Row) -> str:
    """Agreement class and distance, or that nothing was compared."""
    if row.agreement is None:
        return Standing.UNJUDGED.value
    if row.distance is None:
        return row.agreement
    return f"{row.agreement} ({distance_text(row.distance)})"


def outcome_text(outcome: Outcome, reason: str) -> str:
    """The outcome in words, with its reason where there is one."""
    words = outcome.value.replace("_", " ")
    return f"{words}: {reason}" if reason else words

"""What a study's records already tell: who failed, who won, what need not be measured again."""

from __future__ import annotations

from perfkit.knobs.configuration import Configuration
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.stats.bootstrap import Interval
from perfkit.tune.recommend import (
    PARTS_ROLES,
    Recommendation,
    direct_ratios,
    recommend,
)

WORTH_TRYING = 1.01
"""A knob whose median gain is smaller is left at stock: it would only add risk."""

CLEARLY_FASTER = 1.25
"""Ratio above which no further round is needed (pairs of equal configurations were seen between
0.86 and 1.08 on a shared machine)."""

CLEARLY_SLOWER = 0.97
"""Ratio of several pairs below which no further round is needed."""

CLEARLY_SLOWER_AT_ONCE = 0.93
"""The same of one pair alone, which says little: one lost pair must not cost a knob that wins."""

SURE_PAIRS = 4
"""Pairs that a small gain must be seen in: of four pairs of equal configurations one in sixteen
points the same way by accident."""

SCREENING_CONFIDENCE = 0.8
"""Of the intervals that screening decides by: with it one lost pair of five is allowed. Accepting
what makes no difference costs little, and the recommendation is held against stock in the end;
asking for every pair loses knobs that win 5 % to the noise of one pass."""


class Known:
    """The records of one study, read anew each time: other processes may add to them.

    Parameters
    ----------
    store
        Where the records are.
    study
        The study's digest.
    """

    def __init__(self, store: Store, study: str) -> None:
        self._store = store
        self._study = study

    def records(self) -> list[Record]:
        """All records of the study so far, of every role."""
        return [record for record in self._store.records() if record.study == self._study]

    def recommendation(self) -> Recommendation:
        """What the records so far support."""
        return recommend([record for record in self.records() if record.role not in PARTS_ROLES])

    def has(self, configuration: Configuration, role: str) -> bool:
        """Whether a trial of the configuration in this role has come to its end."""
        return any(
            record.role == role
            and record.configuration.digest == configuration.digest
            and record.outcome is not Outcome.INTERRUPTED
            for record in self.records()
        )

    def failed(self, configuration: Configuration) -> bool:
        """Whether a trial of the configuration failed in a way that another would too."""
        return any(
            record.configuration.digest == configuration.digest
            and record.outcome not in (Outcome.OK, Outcome.INTERRUPTED, Outcome.TIMEOUT)
            for record in self.records()
        )

    def beats(self, candidate: Configuration, base: Configuration) -> bool | None:
        """Whether the candidate is surely faster than ``base``, and right; None: not known."""
        if self.failed(candidate):
            return False
        rows = {row.digest: row for row in self.recommendation().rows}
        row = rows.get(candidate.digest)
        ratio = self.ratio(candidate, base)
        if row is None or not row.eligible or ratio is None:
            return None
        return wins(ratio)

    def ratio(self, candidate: Configuration, base: Configuration) -> Interval | None:
        """Speed-up of the candidate over ``base`` by trials that have ended, None without any."""
        ratios = direct_ratios(self.records(), SCREENING_CONFIDENCE)
        return ratios.get((base.digest, candidate.digest))


def wins(ratio: Interval | None) -> bool:
    """Whether a speed-up is sure, and large enough to be worth a setting."""
    return ratio is not None and ratio.low > 1.0 and ratio.median > WORTH_TRYING


def is_open_question(ratio: Interval | None) -> bool:
    """Whether another round may still tell: neither surely faster nor clearly one or the other."""
    if ratio is None or (ratio.count >= SURE_PAIRS and wins(ratio)):
        return False
    slower = CLEARLY_SLOWER_AT_ONCE if ratio.count == 1 else CLEARLY_SLOWER
    return slower < ratio.median < CLEARLY_FASTER

"""Under which conditions records were measured, for a reader of what follows from them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from perfkit.records.restrictions import restriction_sentences
from perfkit.records.schema import Record
from perfkit.trial.progress import DROPPED
from perfkit.units import count_text

SHARE = 0.1
"""Share of the trials from which a warning concerns the result: confirmation compares medians over
six and more pairs, which single disturbed trials do not move."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def conditions_of(records: Sequence[Record]) -> tuple[str, ...]:
    """One sentence for each limit, and for each disturbance of more than a tenth of the trials.

    Parameters
    ----------
    records
        The trials that were compared.
    """
    timed = [record for record in records if record.steady]
    limits = dict.fromkeys(
        sentence
        for record in timed
        for sentence in restriction_sentences(record.restrictions, record.machine.memory_bytes or 0)
    )
    return (*limits, *_disturbances(timed))


def _disturbances(records: Sequence[Record]) -> list[str]:
    """Warnings of many trials, each with an example; their numbers differ from trial to trial."""
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for record in records:
        # A pass that was repeated is not among those that count.
        kept = [warning for warning in record.warnings if not warning.startswith(DROPPED)]
        kinds = {_NUMBER.sub("#", warning): warning for warning in kept}
        counts.update(kinds.keys())
        examples |= {kind: text for kind, text in kinds.items() if kind not in examples}
    return [
        f"{count} of {count_text(len(records), 'trial')} were disturbed, for example: "
        f"{examples[kind]}"
        for kind, count in counts.items()
        if count > SHARE * len(records)
    ]

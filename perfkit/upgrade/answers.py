"""How the answers of the two sides compare, quantity by quantity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfkit.answers.agreement import (
    Agreement,
    AgreementClass,
    QuantityAgreement,
    Tolerance,
    compare,
)
from perfkit.history.verdicts import Verdict
from perfkit.units import distance_text
from perfkit.upgrade.rows import verdict_text

REPEATS = 2.0
"""A changed answer differs by more than this multiple of the difference of two runs of one side."""

ANSWER_HEADERS = (
    "quantity",
    "class",
    "distance new to old",
    "distance of two equal runs",
    "verdict",
)
"""Headings of :attr:`AnswerChange.rows`."""

type Answers = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class AnswerChange:
    """How the answers of the two sides compare.

    Attributes
    ----------
    agreement
        Each compared quantity of the new side against the old one.
    declared
        Class that the configuration declares to reach.
    repeated
        Largest distance of two runs of one side, by quantity; empty with one block.
    """

    agreement: Agreement
    declared: AgreementClass
    repeated: Mapping[str, float]

    def verdict(self, quantity: QuantityAgreement) -> Verdict:
        """Whether a quantity has changed."""
        noise = REPEATS * self.repeated.get(quantity.name, 0.0)
        # A distance that is not a number is no noise.
        within = quantity.reached <= self.declared or quantity.distance <= noise
        return Verdict.SAME if within else Verdict.ANSWER_CHANGED

    @property
    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """A row of texts for each quantity, under :data:`ANSWER_HEADERS`."""
        return [
            (
                each.name,
                each.reached.label,
                each.reason or distance_text(each.distance),
                distance_text(self.repeated[each.name]) if each.name in self.repeated else "",
                verdict_text(self.verdict(each)),
            )
            for each in self.agreement.quantities
        ]

    @property
    def changed(self) -> bool:
        """Whether any quantity has changed."""
        return any(self.verdict(each) is not Verdict.SAME for each in self.agreement.quantities)

    @property
    def identical(self) -> bool:
        """Whether all quantities are equal bit by bit."""
        return self.agreement.reached is AgreementClass.BITWISE


def compare_answers(
    old: Sequence[Answers],
    new: Sequence[Answers],
    tolerances: Mapping[str, Tolerance],
    declared: AgreementClass,
) -> AnswerChange | None:
    """Compare the answers of both sides.

    Parameters
    ----------
    old, new
        Compared quantities of the first runs of each side.
    tolerances
        Tolerance by quantity.
    declared
        Class that the configuration declares to reach.

    Returns
    -------
    AnswerChange or None
        None if a side has no answer.
    """
    if not old or not new:
        return None
    repeated: dict[str, float] = defaultdict(float)
    for runs in (old, new):
        for again in runs[1:]:
            for quantity in compare(again, runs[0], tolerances).quantities:
                repeated[quantity.name] = max(repeated[quantity.name], quantity.distance)
    return AnswerChange(compare(new[0], old[0], tolerances), declared, dict(repeated))

"""One measured quantity of both sides, with its ratio and verdict."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit.history.verdicts import REGRESSIONS, Verdict
from perfkit.stats.exact import log_ratios, sequential_ratio
from perfkit.stats.interval import Interval
from perfkit.units import ratio_text, value_text


@dataclass(frozen=True)
class Row:
    """One measured quantity of both sides.

    Attributes
    ----------
    name, unit
        Name and unit (``seconds`` or ``bytes``).
    old, new
        Median over the blocks.
    ratio
        ``new / old``, from the pairs; None if a side is zero.
    verdict
        Worse, better, same, or unsure if noise may explain the change.
    """

    name: str
    unit: str
    old: float
    new: float
    ratio: Interval | None
    verdict: Verdict

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Texts for the columns of a table: name, old, new, ratio and verdict."""
        return (
            self.name,
            value_text(self.old, self.unit),
            value_text(self.new, self.unit),
            "" if self.ratio is None else ratio_text(self.ratio),
            verdict_text(self.verdict),
        )


def verdict_text(verdict: Verdict) -> str:
    """A verdict for a reader; a regression is in capitals."""
    return verdict.value.upper() if verdict in REGRESSIONS else verdict.value


def make_row(
    name: str,
    unit: str,
    values: Sequence[tuple[float, float]],
    factor: float,
    is_worse: Callable[[list[float]], bool] = lambda logarithms: True,
) -> Row:
    """Make a row from pairs of measurements.

    Parameters
    ----------
    name, unit
        Name and unit of the quantity.
    values
        The old and the new value of each pair.
    factor
        Smallest ratio that counts as a change.
    is_worse
        Whether the logarithms of the ratios, whose interval excludes 1, are evidence enough.
    """
    old, new = ([pair[side] for pair in values] for side in (0, 1))
    medians = statistics.median(old), statistics.median(new)
    if min(*old, *new) <= 0:
        return Row(name, unit, *medians, None, Verdict.SAME if old == new else Verdict.UNSURE)
    logarithms = log_ratios(new, old)
    ratio = sequential_ratio(logarithms)
    verdict = Verdict.SAME
    if not 1 / factor < ratio.median < factor:
        verdict = Verdict.UNSURE
        if ratio.surely_above(1.0) and is_worse(logarithms):
            verdict = Verdict.WORSE
        elif ratio.surely_below(1.0):
            verdict = Verdict.BETTER
    return Row(name, unit, *medians, ratio, verdict)

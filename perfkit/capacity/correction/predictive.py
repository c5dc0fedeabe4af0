"""The predictive distribution of a time or memory: of a fit, or corrected by finished jobs."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from perfkit.capacity.laws.prediction import COVERAGE, WIDEST, Range

UPPER = (1 + COVERAGE) / 2
"""Share of the distribution below the high end of an interval."""

FEWEST = math.ceil(round(2 / (1 - COVERAGE), 6)) - 1
"""Fewest scores that determine both ends of a conformal interval of this coverage: 19 for 90 %."""

LEAST_HALF = 0.01
"""Smallest half-width that scores are relative to: repeated runs differ by about as much."""


def half_width(predicted: Range) -> float:
    """Return half of the interval on a logarithmic scale."""
    if predicted.value <= 0 or predicted.high <= predicted.value:
        return 0.0
    return math.log(predicted.high / predicted.value)


def score(predicted: Range, measured: float) -> float:
    """Return the logarithm of measured over predicted, in half-widths of the interval.

    Parameters
    ----------
    predicted
        Prediction of the fit, greater than 0.
    measured
        Measurement, greater than 0.
    """
    return math.log(measured / predicted.value) / max(half_width(predicted), LEAST_HALF)


@dataclass(frozen=True)
class Scores:
    """The distribution of scores of future jobs.

    Without finished jobs it is Student's t, whose interval at :data:`COVERAGE` is [-1, 1]. With
    :data:`FEWEST` or more, quantiles are those of split conformal prediction: the fit's trials are
    the training set, the finished jobs the calibration set, and a new job lies below the k-th
    smallest of n scores with a probability of at least k / (n + 1) if the jobs are exchangeable.
    Beyond the ranks that n scores have, and with fewer scores, it is Student's t about their mean;
    the variance of the fit counts as much as its degrees of freedom. Quantiles beyond all ranks
    also enclose the outermost score.

    Attributes
    ----------
    freedom
        Degrees of freedom of the fit's deviation.
    values
        Scores of finished jobs, ascending.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World" (2005), section 4.1;
    J. Lei et al., "Distribution-Free Predictive Inference for Regression", Journal of the American
    Statistical Association 113 (2018), 1094-1111, section 5.2 (residuals scaled by a spread);
    Y. Romano, E. Patterson, E. Candès, "Conformalized Quantile Regression", NeurIPS 2019, theorem 2
    (each end at its own level).
    """

    freedom: int
    values: tuple[float, ...] = ()

    @property
    def centre(self) -> float:
        """Median of many scores, mean of few, 0 of none."""
        if not self.values:
            return 0.0
        return statistics.median(self.values) if self._is_conformal else self._mean

    def quantile(self, share: float) -> float:
        """Return the score below which a new job lies with probability ``share``, within (0, 1)."""
        count = len(self.values)
        upper = share > 0.5
        # Products such as 20 * 0.95 are not whole in floating point.
        place = round((count + 1) * share, 9)
        rank = math.ceil(place) if upper else math.floor(place)
        if self._is_conformal and 1 <= rank <= count:
            return self.values[rank - 1]
        found = self._mean + self._deviation * float(stdtrit(self._student_freedom, share))
        if count and rank > count:
            return max(found, self.values[-1])
        if count and rank < 1:
            return min(found, self.values[0])
        return found

    def exceeds(self, limit: float) -> float:
        """Return the probability that the score of a new job is above ``limit``."""
        count = len(self.values)
        below = bisect.bisect_right(self.values, limit)
        distance = (limit - self._mean) / self._deviation
        student = float(stdtr(self._student_freedom, -distance))
        if self._is_conformal:
            if below == count:
                return min(student, 1 / (count + 1))
            return max(student, count / (count + 1)) if below == 0 else 1 - below / (count + 1)
        if count and below < count:
            return max(student, 1 / (count + 1))
        return student

    @property
    def _is_conformal(self) -> bool:
        return len(self.values) >= FEWEST

    @property
    def _mean(self) -> float:
        return statistics.fmean(self.values) if self.values else 0.0

    @property
    def _student_freedom(self) -> int:
        return max(1, self.freedom) + max(0, len(self.values) - 1)

    @property
    def _deviation(self) -> float:
        """Scale of Student's t for a new job, in half-widths."""
        freedom, count = max(1, self.freedom), len(self.values)
        # The half-width is this many standard deviations of the fit.
        variance = 1 / float(stdtrit(freedom, UPPER)) ** 2
        if not count:
            return math.sqrt(variance)
        squares = sum((value - self._mean) ** 2 for value in self.values)
        pooled = (freedom * variance + squares) / self._student_freedom
        return math.sqrt(pooled * (1 + 1 / count))


@dataclass(frozen=True)
class Predictive:
    """The distribution of the time or memory of a job.

    Attributes
    ----------
    fitted
        Prediction of the fit, with its interval.
    scores
        Distribution of scores.
    """

    fitted: Range
    scores: Scores

    @property
    def half(self) -> float:
        """Width of a score of 1, on a logarithmic scale."""
        own = half_width(self.fitted)
        return max(own, LEAST_HALF) if self.scores.values else own

    def range(self) -> Range:
        """Return the prediction with its interval; without finished jobs that of the fit."""
        if not self.scores.values:
            return self.fitted
        centre = self.scores.centre
        low, high = self.scores.quantile(1 - UPPER), self.scores.quantile(UPPER)
        return Range(
            value=self.at(centre), low=self.at(min(low, centre)), high=self.at(max(high, centre))
        )

    def quantile(self, share: float) -> float:
        """Return the seconds or bytes that the job stays below with probability ``share``."""
        return self.at(self.scores.quantile(share))

    def request(self, share: float) -> float:
        """Return the seconds or bytes to request, so that they suffice with probability ``share``.

        Fewer than :data:`FEWEST` finished jobs raise a request above that of the fit, and never
        lower it: they may be the easy ones, and sampled memory misses short peaks.
        """
        found = self.quantile(share)
        if len(self.scores.values) < FEWEST:
            found = max(found, Predictive(self.fitted, Scores(self.scores.freedom)).quantile(share))
        return found

    def exceeds(self, limit: float) -> float:
        """Return the probability that the job takes more than ``limit``."""
        if self.fitted.value <= 0 or limit <= 0 or self.half == 0:
            return float(self.fitted.value > limit)
        return self.scores.exceeds(math.log(limit / self.fitted.value) / self.half)

    def at(self, place: float) -> float:
        """Return the seconds or bytes at a score."""
        most = math.log(WIDEST)
        return self.fitted.value * math.exp(max(-most, min(most, place * self.half)))


def predictive(fitted: Range, freedom: int, values: Sequence[float] = ()) -> Predictive:
    """Return the distribution of a job.

    Parameters
    ----------
    fitted
        Prediction of the fit, with its interval.
    freedom
        Degrees of freedom of the fit's deviation.
    values
        Scores of finished jobs, in any order.
    """
    return Predictive(fitted, Scores(freedom, tuple(sorted(values))))

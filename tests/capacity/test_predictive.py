"""Corrections by finished jobs: quantiles and probabilities worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from perfkit.capacity.correction.correction import Correction, FinishedJob
from perfkit.capacity.correction.predictive import Predictive, Scores, predictive, score
from perfkit.capacity.laws.prediction import Range
from perfkit.errors import UserError

HALF = 0.2
FITTED = Range(value=100.0, low=100 * math.exp(-HALF), high=100 * math.exp(HALF))
NINETEEN = tuple(number / 10 for number in range(-9, 10))

T4_95, T4_99, T6_95 = 2.131847, 3.746947, 1.943180
"""Quantiles of Student's t from a table: degrees of freedom, and percentage."""


def test_without_finished_jobs_the_interval_is_that_of_the_fit() -> None:
    found = predictive(FITTED, 4)
    assert found.range() == FITTED
    assert found.quantile(0.95) == pytest.approx(FITTED.high, rel=1e-6)
    assert found.quantile(0.99) == pytest.approx(100 * math.exp(HALF * T4_99 / T4_95), rel=1e-5)
    assert found.exceeds(FITTED.high) == pytest.approx(0.05, rel=1e-5)
    assert found.exceeds(100.0) == pytest.approx(0.5)


def test_nineteen_jobs_give_a_conformal_interval_of_their_extremes() -> None:
    """(19 + 1) * 0.05 = 1 and (19 + 1) * 0.95 = 19: the smallest and the largest score."""
    found = predictive(FITTED, 4, NINETEEN[::-1]).range()
    assert found.value == pytest.approx(100.0)
    assert found.low == pytest.approx(100 * math.exp(-0.9 * HALF))
    assert found.high == pytest.approx(100 * math.exp(0.9 * HALF))


def test_ranks_follow_the_number_of_jobs() -> None:
    """39 scores 1, 2, ..., 39: ranks 2 and 38, and rank 36 of 40 for 0.9."""
    scores = Scores(4, tuple(float(number) for number in range(1, 40)))
    assert (scores.quantile(0.05), scores.quantile(0.95), scores.quantile(0.9)) == (2, 38, 36)
    assert scores.centre == 20


def test_few_jobs_shift_and_scale_the_interval() -> None:
    """Three scores of 1, four degrees of freedom: the variance of the fit, 1 / t² with t = 2.1318,
    counts 4 of 6, times 4/3 for a new job; 6 degrees of freedom."""
    scores = Scores(4, (1.0, 1.0, 1.0))
    deviation = math.sqrt(4 / 6 / T4_95**2 * 4 / 3)
    assert scores.centre == 1.0
    assert scores.quantile(0.95) == pytest.approx(1 + T6_95 * deviation, rel=1e-5)
    assert scores.exceeds(1 + T6_95 * deviation) == pytest.approx(0.05, rel=1e-4)


def test_quantiles_beyond_all_ranks_enclose_the_outermost_job() -> None:
    """One of six jobs took far longer. 99 % is beyond the ranks of six jobs."""
    scores = Scores(50, (0.0, 0.0, 0.0, 0.0, 0.0, 40.0))
    assert scores.quantile(0.99) >= 40.0
    assert scores.exceeds(39.0) >= 1 / 7


def test_probabilities_are_shares_of_the_finished_jobs() -> None:
    """Of 19 scores, 10 are at most 0 and 18 at most 0.85."""
    scores = Scores(4, NINETEEN)
    assert scores.exceeds(0.0) == pytest.approx(1 - 10 / 20)
    assert scores.exceeds(0.85) == pytest.approx(1 - 18 / 20)
    assert scores.exceeds(5.0) < 1 / 20
    assert scores.exceeds(-5.0) >= 19 / 20


def test_a_prediction_without_spread_is_exceeded_or_not() -> None:
    sharp = predictive(Range(value=100.0, low=100.0, high=100.0), 4)
    assert (sharp.exceeds(99.0), sharp.exceeds(101.0), sharp.quantile(0.99)) == (1.0, 0.0, 100.0)


def test_few_jobs_never_lower_a_request() -> None:
    """Three jobs took less than predicted: the prediction falls, the request is that of the fit.
    Nineteen such jobs lower it, too."""
    alone = 100 * math.exp(HALF * T4_99 / T4_95)
    few = predictive(FITTED, 4, (-1.0, -1.0, -1.0))
    assert few.range().value == pytest.approx(100 * math.exp(-HALF))
    assert few.request(0.99) == pytest.approx(alone, rel=1e-5)
    assert predictive(FITTED, 4, (-1.0,) * 19).request(0.99) < 100
    assert predictive(FITTED, 4, (3.0, 3.0, 3.0)).request(0.99) > 100 * math.exp(3 * HALF)


def test_a_score_of_one_is_the_high_end() -> None:
    assert score(FITTED, FITTED.high) == pytest.approx(1.0)
    assert score(FITTED, FITTED.low) == pytest.approx(-1.0)
    # Of an interval without width, one per cent is taken.
    sharp = Range(value=100.0, low=100.0, high=100.0)
    assert score(sharp, 100 * math.exp(0.03)) == pytest.approx(3.0)


def test_the_interval_covers_new_jobs_of_a_distribution_that_the_fit_does_not_know() -> None:
    """Scores of a shifted, skewed distribution: of 20 exchangeable scores the new one is outermost
    with probability 2/20, so the coverage is 90 %."""
    generator = np.random.default_rng(7)
    drawn = 0.5 + generator.exponential(2.0, (3000, 20))
    inside = 0
    for *finished, new in drawn:
        found = Scores(4, tuple(sorted(finished)))
        inside += found.quantile(0.05) <= new <= found.quantile(0.95)
    # Three standard errors of 3,000 draws.
    assert inside / 3000 == pytest.approx(0.9, abs=0.017)


def _job(name: str, **changes: object) -> FinishedJob:
    known = {"model": "af3", "preset": "stock", "machine": "node", "time": 0.5, "memory": 0.1}
    return FinishedJob.model_validate({"job": name, **known, **changes})


def test_times_belong_to_a_kind_of_machine_and_memory_does_not() -> None:
    correction = Correction().joined(
        [_job("a"), _job("b", machine="other", time=2.0, memory=0.3), _job("c", preset="quick")]
    )
    assert correction.time_scores("af3", "stock", "node") == (0.5,)
    assert correction.memory_scores("af3", "stock") == (0.1, 0.3)


def test_a_job_that_a_limit_ended_needed_more() -> None:
    correction = Correction().joined([_job("a", memory_is_limit=True)])
    assert correction.memory_scores("af3", "stock") == (1.1,)
    assert correction.time_scores("af3", "stock", "node") == (0.5,)


def test_a_job_that_is_checked_again_counts_once(tmp_path: Path) -> None:
    first = Correction().joined([_job("a"), _job("b")])
    first.save(tmp_path / "correction.json")
    again = Correction.load(tmp_path / "correction.json").joined([_job("b", time=0.7), _job("c")])
    assert again.time_scores("af3", "stock", "node") == (0.5, 0.5, 0.7)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"jobs": [{}]}', '{"version": 9}'])
def test_another_file_is_refused_as_a_correction(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(UserError, match="is not a correction of 'perfkit plan check'"):
        Correction.load(tmp_path / "file.json")


def test_the_corrected_range_is_ordered() -> None:
    """All finished jobs took twice as long: the whole interval lies above the fit's prediction."""
    found = Predictive(FITTED, Scores(4, (3.4, 3.5, 3.6))).range()
    assert FITTED.high < found.low < found.value < found.high
    assert found.value == pytest.approx(100 * math.exp(3.5 * HALF))

"""Laws: planted coefficients are found, undetermined ones are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from perfkit.capacity.laws.law import Law, fit_law
from perfkit.capacity.laws.terms import term_value
from perfkit.errors import UserError
from perfkit.models.costs import Feature

SIZES = (8.0, 16.0, 24.0, 32.0, 48.0)


def _fit(
    terms: Sequence[str], points: Sequence[Mapping[str, float]], values: Sequence[float]
) -> Law:
    return fit_law("x", terms, points, values, size="n")


def test_a_term_is_a_product_of_powers() -> None:
    assert term_value("s*n^2", {"n": 3.0, "s": 5.0}) == 45.0
    assert term_value("1", {}) == 1.0


def test_planted_coefficients_are_found() -> None:
    points = [{"n": n} for n in SIZES]
    law = fit_law(
        "x", ("1", "n", "n^2"), points, [2 + 0.5 * n + 0.01 * n**2 for n in SIZES], size="n"
    )
    assert law.terms == ("1", "n", "n^2")
    assert law.coefficients == pytest.approx((2.0, 0.5, 0.01))
    assert law.value({"n": 100.0}) == pytest.approx(152.0)


def test_no_coefficient_is_negative() -> None:
    """The best non-negative fit of a falling curve is a constant."""
    law = fit_law(
        "x", ("1", "n"), [{"n": n} for n in SIZES], [10 - 0.1 * n for n in SIZES], size="n"
    )
    assert law.terms == ("1",)


def test_relative_errors_are_minimised() -> None:
    """The constant with the least relative error for the measurements 1 and 100 is
    (1/1 + 1/100) / (1/1 + 1/100²), not the mean."""
    points = [{"n": 1.0}, {"n": 1.0}]
    law = _fit(("1",), points, [1.0, 100.0])
    assert law.coefficients[0] == pytest.approx(1.01 / 1.0001)


def test_too_few_sizes_are_refused() -> None:
    points = [{"n": 8.0}, {"n": 16.0}, {"n": 16.0}]
    with pytest.raises(
        UserError, match=r"has 3 terms .* only 2 different sizes.*measure 4 or more"
    ):
        _fit(("1", "n", "n^2"), points, [1.0, 2.0, 2.0])


def test_collinear_features_are_refused() -> None:
    points = [{"g": n, "m": 3 * n} for n in SIZES]
    with pytest.raises(UserError, match=r"cannot separate its terms 1, g, m: .* collinear"):
        fit_law("denoiser_call", ("1", "g", "m"), points, [1 + n for n in SIZES], size="g")


def test_a_law_holds_only_at_constant_features() -> None:
    points = [{"n": n, "s": 5.0} for n in SIZES]
    law = _fit(("1", "n", "s*n"), points, [1 + n for n in SIZES])
    features = (Feature("n", "the sizes measured"), Feature("s", "the samples measured"))
    assert law.refusal({"n": 9.0, "s": 5.0}, features) is None
    refusal = law.refusal({"n": 9.0, "s": 1.0}, features)
    assert refusal == "the samples measured were all 5, not 1"


def test_leverage_is_that_of_a_mean_for_a_constant() -> None:
    """The mean of four measurements has a quarter of the variance of one."""
    law = _fit(("1",), [{"n": n} for n in SIZES[:4]], [7.0] * 4)
    assert law.leverage({"n": 1.0}) == pytest.approx(0.25)


def test_extrapolation_has_more_leverage_than_interpolation() -> None:
    points = [{"n": n} for n in SIZES]
    law = _fit(("1", "n"), points, [1 + 0.2 * n for n in SIZES])
    assert law.leverage({"n": 200.0}) > law.leverage({"n": 24.0})


def test_powers_may_be_fractions() -> None:
    assert term_value("g^1.5", {"g": 4.0}) == pytest.approx(8.0)
    assert math.isclose(term_value("g^1.5", {"g": 9.0}), 27.0)

"""A scaling law: a non-negative sum of terms fitted to measurements, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.optimize import nnls

from perfkit.capacity.bounds import LARGEST, Count, FileData, NonNegative, Real
from perfkit.capacity.laws.terms import is_term, term_features, term_value
from perfkit.errors import UserError
from perfkit.models.costs import Feature, Features
from perfkit.units import cut

COLLINEAR = 1e-7
"""Smallest singular value, as a share of the largest, of a design with identifiable terms."""

MOST_TERMS = 16

INDEFINITE = 1e-3
"""How negative an eigenvalue of a covariance may be through rounding, as a share of the largest.
Nearly collinear terms have such eigenvalues."""


def ensure_covariance(rows: Sequence[Sequence[float]], side: int, what: str) -> None:
    """Check that a matrix is a covariance matrix.

    Parameters
    ----------
    rows
        The matrix.
    side
        Expected number of rows and columns.
    what
        Name of the matrix, for messages.

    Raises
    ------
    ValueError
        The matrix has another shape, is not symmetric, or gives negative variances.
    """
    if len(rows) != side or any(len(row) != side for row in rows):
        raise ValueError(f"{what} is not {side} by {side}")
    if not side:
        return
    matrix = np.array(rows)
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * float(np.abs(matrix).max())):
        raise ValueError(f"{what} is not symmetric")
    if (np.diag(matrix) < 0).any():
        raise ValueError(f"{what} holds a negative variance")
    # Powers of sizes differ by millions: rows and columns are scaled to unit variance.
    scale = np.sqrt(np.where(np.diag(matrix) > 0, np.diag(matrix), 1.0))
    values = np.linalg.eigvalsh(matrix / np.outer(scale, scale))
    if values[0] < -INDEFINITE * max(1.0, float(values[-1])):
        raise ValueError(f"{what} gives negative variances")


class Law(FileData):
    """Fitted terms of one quantity.

    Attributes
    ----------
    quantity
        Name of the predicted quantity.
    terms, coefficients
        The prediction is the sum of the coefficients times the terms. Terms fitted to zero are
        left out.
    spread
        ``(XᵀX)⁻¹`` of the design in relative errors, shape ``(terms, terms)``.
    freedom
        Number of measurements minus number of terms. There are no residuals where it is 0.
    fixed
        Features that had one value in all measurements. The law holds for these values only.
    residuals
        Relative errors at the measurements, in their order.
    """

    quantity: str
    terms: Annotated[tuple[str, ...], Field(max_length=MOST_TERMS)]
    coefficients: tuple[NonNegative, ...]
    spread: tuple[tuple[Real, ...], ...]
    freedom: Count
    fixed: dict[str, Real]
    residuals: tuple[Real, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for term in self.terms:
            if not is_term(term):
                raise ValueError(f"{cut(term)!r} is not a product of powers of features")
        if len(self.coefficients) != len(self.terms):
            raise ValueError(
                f"{len(self.terms)} terms have {len(self.coefficients)} coefficients: expected "
                "one for each"
            )
        ensure_covariance(self.spread, len(self.terms), "spread")
        return self

    def value(self, features: Features) -> float:
        """Return the prediction at ``features``, at least 0."""
        pairs = zip(self.coefficients, self.terms, strict=True)
        return sum(coefficient * term_value(term, features) for coefficient, term in pairs)

    def leverage(self, features: Features) -> float:
        """Return the relative variance of the prediction, in units of one measurement's variance.

        This is the leverage of ordinary least squares on the terms of the law.
        """
        predicted = self.value(features)
        if predicted <= 0 or not self.terms:
            return 0.0
        with np.errstate(all="ignore"):
            row = np.array([term_value(term, features) for term in self.terms]) / predicted
            variance = float(row @ np.array(self.spread) @ row)
        # Rounding can make a tiny variance negative.
        return max(0.0, variance) if math.isfinite(variance) else LARGEST

    def scaled(self, factor: float) -> Law:
        """Return the law of a quantity that is ``factor`` times as large everywhere.

        Relative errors stay as they are. The spread is in units of squared coefficients.
        """
        return self.model_copy(
            update={
                "coefficients": tuple(factor * one for one in self.coefficients),
                "spread": tuple(tuple(factor**2 * one for one in row) for row in self.spread),
            }
        )

    @property
    def error(self) -> float:
        """Relative standard deviation of measurements about the law, 0 without residuals."""
        if self.freedom < 1:
            return 0.0
        return math.sqrt(sum(one**2 for one in self.residuals) / self.freedom)

    def deviation(self, features: Features) -> float:
        """Return the relative standard deviation of a new measurement about the prediction."""
        return self.error * math.sqrt(1 + self.leverage(features))

    def refusal(self, features: Features, known: Sequence[Feature]) -> str | None:
        """Return why the law does not hold at ``features``, None where it does.

        Parameters
        ----------
        features
            Features of a prediction.
        known
            All features of the model.
        """
        for feature in known:
            value = self.fixed.get(feature.name)
            if value is not None and features[feature.name] != value:
                return f"{feature.measured} were all {value:g}, not {features[feature.name]:g}"
        return None


def fit_law(
    quantity: str,
    terms: Sequence[str],
    points: Sequence[Features],
    values: Sequence[float],
    *,
    size: str,
) -> Law:
    """Fit non-negative coefficients by least squares of relative errors.

    Parameters
    ----------
    quantity
        Name of the quantity, for messages.
    terms
        Candidate terms. Terms that differ only by constant features are merged. Powers of a
        feature other than the size are left out where the feature took too few values for them.
    points, values
        Features and positive measurement of each trial.
    size
        Name of the feature that is the size.

    Raises
    ------
    UserError
        There are too few different points for the terms, or the terms are collinear.

    Notes
    -----
    C. Lawson and R. Hanson, "Solving Least Squares Problems" (1974), chapter 23 (NNLS), each row
    divided by its measurement.
    """
    fixed = _fixed(points)
    candidates = [
        term for term in _distinguishable(terms, fixed) if not _undetermined(term, points, size)
    ]
    used = set().union(*map(term_features, candidates))
    different = {tuple(point[name] for name in sorted(used)) for point in points}
    if len(different) < len(candidates):
        raise UserError(
            f"the law of {quantity} has {len(candidates)} terms ({', '.join(candidates)}), but "
            f"only {len(different)} different sizes were measured: measure "
            f"{len(candidates) + 1} or more"
        )
    design = np.array([[term_value(term, point) for term in candidates] for point in points])
    measured = np.asarray(values, float)
    positive = measured > 0
    weights = np.where(positive, measured, measured[positive].min() if positive.any() else 1.0)
    relative = design / weights[:, None]
    singular = np.linalg.svd(relative / np.linalg.norm(relative, axis=0), compute_uv=False)
    if singular[-1] < COLLINEAR * singular[0]:
        raise UserError(
            f"the law of {quantity} cannot separate its terms {', '.join(candidates)}: the "
            "features of the measured sizes are collinear; measure other sizes"
        )
    scale = np.linalg.norm(relative, axis=0)
    coefficients, _ = nnls(relative / scale, measured / weights)
    coefficients = coefficients / scale
    kept = np.flatnonzero(coefficients > 0)
    fitted = relative[:, kept] @ coefficients[kept]
    return Law(
        quantity=quantity,
        terms=tuple(candidates[index] for index in kept),
        coefficients=tuple(float(value) for value in coefficients[kept]),
        spread=_spread(relative[:, kept], scale[kept]),
        freedom=len(points) - len(kept),
        fixed=fixed,
        residuals=tuple(float(one) for one in measured / weights - fitted),
    )


def _spread(
    design: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[tuple[float, ...], ...]:
    """Return ``(XᵀX)⁻¹``, inverted with scaled columns: powers of sizes differ by millions."""
    if not design.size:
        return ()
    even = design / scale
    inverse = np.linalg.pinv(even.T @ even) / np.outer(scale, scale)
    return tuple(tuple(float(value) for value in row) for row in inverse)


def _fixed(points: Sequence[Features]) -> dict[str, float]:
    """Return the features that have one value in all points."""
    names = points[0].keys()
    return {name: points[0][name] for name in names if len({p[name] for p in points}) == 1}


def _undetermined(term: str, points: Sequence[Features], size: str) -> bool:
    """Return whether a power of one feature, not the size, exceeds what its values determine."""
    features = term_features(term)
    if len(features) != 1 or size in features:
        return False
    (name,) = features
    values = {point[name] for point in points}
    return term_value(term, {name: 2.0}) >= 2.0 ** len(values)


def _distinguishable(terms: Sequence[str], fixed: Features) -> list[str]:
    """Return the terms; of those that differ only by fixed features the one with the fewest."""
    kept: dict[frozenset[str], str] = {}
    for term in terms:
        free = frozenset(
            factor
            for factor in ([] if term == "1" else term.split("*"))
            if factor.partition("^")[0] not in fixed
        )
        other = kept.get(free)
        if other is None or len(term_features(term)) < len(term_features(other)):
            kept[free] = term
    return list(kept.values())

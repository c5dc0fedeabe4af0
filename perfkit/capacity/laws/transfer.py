"""A fit on another machine: the laws of the fit's machine at the speed of a calibrated one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perfkit.capacity.laws.calibration import MOST_FACTOR, Calibration, CalibrationTrial, Factor
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.law import Law
from perfkit.capacity.laws.observation import PROCESS_ERROR
from perfkit.capacity.laws.terms import size_feature, term_value
from perfkit.models.costs import Features
from perfkit.records.stages import STARTUP_STAGES, StageName

SMALL_SHARE = 0.05
"""Share of a pass below which the time of a part is too short for a factor of its own."""

LEAST_DIFFERENCE = 0.1
"""Smallest relative standard deviation between the factors of the terms of a law."""

NORMAL_90 = 1.645
"""Half-width of the 90 % interval of the standard normal distribution."""

LEAST_FACTOR = 0.1
"""Smallest factor of a term relative to that of its part."""

STARTING = (*STARTUP_STAGES, StageName.CHECK)
"""Laws that scale as the start of a process does."""

type _Point = tuple[Features, Mapping[str, float]]
"""Features of a trial, and its seconds per run of each part."""


def transferred(fit: ModelFit, calibration: Calibration) -> ModelFit:
    """Return the fit as it would be on a calibrated machine.

    Parameters
    ----------
    fit
        Fit of another machine.
    calibration
        Calibration of the machine to predict for.

    Returns
    -------
    ModelFit
        Laws of memory are unchanged. Intervals of time also cover the error of the calibration,
        and grow away from its sizes. The held-out predictions, which are those of the other
        machine, are left out.

    Raises
    ------
    UserError
        As for :meth:`perfkit.capacity.laws.calibration.Calibration.factor`.

    Notes
    -----
    Each part has a factor of its own, because machines differ more in some parts than in others.
    Within a part, terms differ too: products of matrices gain most from another CPU and take a
    larger share of larger inputs. The factors of the terms are those of a Bayesian linear
    regression on the sizes of the calibration: normal around the factor of the part, as far apart
    as the machine's ceilings are from the factor of a pass (C. Bishop, "Pattern Recognition and
    Machine Learning" (2006), section 3.3). With a single size, all terms have the factor of the
    part, and only the interval allows for differences.
    """
    factor = calibration.factor(fit)
    trial = calibration.trial_for(fit)
    assert trial is not None
    factors = part_factors(fit, trial, factor)
    prior = max(LEAST_DIFFERENCE, math.log(factor.spread) / NORMAL_90)
    points = _points(fit, trial)
    laws = {}
    for index, (name, law) in enumerate(fit.laws.items()):
        if name in STARTING:
            laws[name] = law.scaled(factors[name])
            continue
        measured = [(at, seconds[name]) for at, seconds in points if seconds.get(name)]
        if not _is_large(trial, name):
            measured = []
        variance = fit.covariance[index][index]
        laws[name] = _transferred(law, factors[name], measured, prior, variance)
    cached_s = fit.cached_compile_s
    return fit.model_copy(
        update={
            "laws": laws,
            "covariance": _with_process_error(fit),
            "cpus": trial.cpus,
            "running_cpus": trial.running_cpus or fit.running_cpus,
            "starting_cpus": trial.starting_cpus or fit.starting_cpus,
            "contention": fit.contention if trial.contention is None else trial.contention,
            "cached_compile_s": None if cached_s is None else cached_s * factor.starting,
            "machine": calibration.machine,
            "ceilings": dict(calibration.ceilings),
            "held_out": (),
        }
    )


def part_factors(fit: ModelFit, trial: CalibrationTrial, factor: Factor) -> dict[str, float]:
    """Return how much slower each part and stage is on the machine of a calibration.

    Parameters
    ----------
    fit
        The fit.
    trial
        Trial of the fit's model on the machine.
    factor
        Factors of whole passes and of the start. A part that the trial did not measure, or that
        takes less than :data:`SMALL_SHARE` of a pass, gets that of whole passes.
    """
    found = {}
    for name, law in fit.laws.items():
        found[name] = factor.starting if name in STARTING else factor.running
        there_s = law.value(trial.features)
        if there_s > 0 and _is_large(trial, name):
            ratio = (trial.part_s or {})[name] / there_s
            if 1 / MOST_FACTOR <= ratio <= MOST_FACTOR:
                found[name] = ratio
    return found


def _is_large(trial: CalibrationTrial, name: str) -> bool:
    seconds = (trial.part_s or {}).get(name, 0.0)
    return seconds * trial.counts.get(name, 1) >= SMALL_SHARE * trial.running_s


def _points(fit: ModelFit, trial: CalibrationTrial) -> list[_Point]:
    """Return the trial and its further sizes, as far as they are within the sizes of the fit."""
    size = size_feature(fit.model)
    further = [
        (point.features, point.part_s)
        for point in trial.further
        if fit.least_size <= point.features[size] <= fit.largest_size
    ]
    return [(trial.features, trial.part_s or {}), *further]


def _transferred(
    law: Law, factor: float, points: Sequence[tuple[Features, float]], prior: float, variance: float
) -> Law:
    """Return a law on the machine of a calibration.

    Parameters
    ----------
    law
        Law of a part.
    factor
        Factor of the part.
    points
        Features and seconds of the part in the trials of the calibration.
    prior
        Relative standard deviation of the factors of the terms about that of the part.
    variance
        Relative variance of a measurement about the law.

    Returns
    -------
    Law
        Its spread is in units of the variance that :func:`_with_process_error` adds to.
    """
    if not law.terms:
        return law
    coefficients = factor * np.array(law.coefficients)
    rows = [
        coefficients * [term_value(term, at) for term in law.terms] / seconds
        for at, seconds in points
    ]
    design = np.array(rows).reshape(len(rows), len(law.terms))
    precision = design.T @ design / PROCESS_ERROR**2 + np.eye(len(law.terms)) / prior**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ (design.sum(axis=0) / PROCESS_ERROR**2 + 1 / prior**2)
    mean = np.maximum(mean, LEAST_FACTOR)
    scale = factor * mean
    old = np.array(law.spread) * np.outer(scale, scale) * variance
    new = covariance * np.outer(coefficients, coefficients)
    return law.model_copy(
        update={
            "coefficients": tuple(float(one) for one in coefficients * mean),
            "spread": _rows((old + new) / (variance + PROCESS_ERROR**2)),
        }
    )


def _with_process_error(fit: ModelFit) -> tuple[tuple[float, ...], ...]:
    """Return the covariance with the difference between processes: all passes, or all starts."""
    start = np.array([PROCESS_ERROR if name in STARTING else 0.0 for name in fit.laws])
    passes = PROCESS_ERROR - start
    return _rows(np.array(fit.covariance) + np.outer(start, start) + np.outer(passes, passes))


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)

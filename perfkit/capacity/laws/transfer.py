"""A fit on another machine: the laws of the fit's machine at the speed of a calibrated one."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from perfkit.capacity.laws.calibration import MOST_FACTOR, Calibration, CalibrationTrial, Factor
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import COVERAGE
from perfkit.records.stages import STARTUP_STAGES, StageName

PROCESS_ERROR = 0.05
"""Relative difference between processes of one program, which keep different speeds. A calibration
measures one process."""

SMALL_SHARE = 0.05
"""Share of a pass below which the time of a part is too short for a factor of its own."""

STARTING = (*STARTUP_STAGES, StageName.CHECK)
"""Laws that scale as the start of a process does."""


def transferred(fit: ModelFit, calibration: Calibration) -> ModelFit:
    """Return the fit as it would be on a calibrated machine.

    Each part gets a factor of its own, because machines differ more in some parts than in others
    and a production run has another mix of parts than the calibration's trial. Laws of memory are
    unchanged.

    Parameters
    ----------
    fit
        Fit of another machine.
    calibration
        Calibration of the machine to predict for.

    Returns
    -------
    ModelFit
        Its intervals of time also cover the difference between processes and
        :attr:`~perfkit.capacity.laws.calibration.Factor.spread`. Its held-out predictions are
        those of the other machine and are left out.

    Raises
    ------
    UserError
        As for :meth:`perfkit.capacity.laws.calibration.Calibration.factor`.
    """
    factor = calibration.factor(fit)
    trial = calibration.trial_for(fit)
    assert trial is not None
    factors = part_factors(fit, trial, factor)
    cached_s = fit.cached_compile_s
    return fit.model_copy(
        update={
            "laws": {name: law.scaled(factors[name]) for name, law in fit.laws.items()},
            "covariance": _widened(fit, factor.spread),
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
    measured = trial.part_s or {}
    found = {}
    for name, law in fit.laws.items():
        found[name] = factor.starting if name in STARTING else factor.running
        here_s, there_s = measured.get(name, 0.0), law.value(trial.features)
        share = here_s * trial.counts.get(name, 1) / trial.running_s
        if share >= SMALL_SHARE and 1 / MOST_FACTOR <= here_s / max(there_s, 1e-12) <= MOST_FACTOR:
            found[name] = here_s / there_s
    return found


def _widened(fit: ModelFit, spread: float) -> tuple[tuple[float, ...], ...]:
    """Return the covariance with the errors that all passes, and all starts, have in common."""
    quantile = float(stdtrit(fit.freedom, (1 + COVERAGE) / 2))
    running = math.hypot(PROCESS_ERROR, math.log(spread) / quantile)
    start = np.array([PROCESS_ERROR if name in STARTING else 0.0 for name in fit.laws])
    passes = np.array([0.0 if name in STARTING else running for name in fit.laws])
    matrix = np.array(fit.covariance) + np.outer(start, start) + np.outer(passes, passes)
    return tuple(tuple(float(value) for value in row) for row in matrix)

"""Time as a function of an instance's CPUs, and of the instances that share a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.optimize import nnls

from perfkit.capacity.bounds import Cpus, FileData, NonNegative
from perfkit.errors import UserError

MOST_CROSSTALK = 1e6

RATIO_ERROR = 0.07
"""Relative error of the ratio of two measured times: each is the median of one process, and
processes of one program differ by about 5 %."""


class CpuLaw(FileData):
    """N. Gunther's universal scalability law, ``T(p) = T(1)(1 + s(p-1) + kp(p-1))/p``.

    Attributes
    ----------
    serial
        Serial share s. With k = 0 the law is Amdahl's.
    crosstalk
        Coherency cost k between CPUs, 0 where fewer than three CPU counts were measured.
    measured
        CPU counts that were measured. The law is extrapolated above the largest.
    """

    serial: Annotated[NonNegative, Field(le=1)]
    crosstalk: Annotated[NonNegative, Field(le=MOST_CROSSTALK)]
    measured: Annotated[tuple[Cpus, ...], Field(min_length=1)]

    def relative_time(self, cpus: float) -> float:
        """Return the time on ``cpus`` CPUs divided by the time on one."""
        return (1 + self.serial * (cpus - 1) + self.crosstalk * cpus * (cpus - 1)) / cpus

    def ratio(self, cpus: float, base: float) -> float:
        """Return the time on ``cpus`` CPUs divided by the time on ``base`` CPUs."""
        return self.relative_time(cpus) / self.relative_time(base)

    def ratio_range(self, cpus: float, base: float) -> tuple[float, float]:
        """Return the ends of the interval of :meth:`ratio`, relative to its value.

        Up to the largest measured number of CPUs the law interpolates. Beyond it, an error of the
        measured times is an error of the serial share, which grows with the CPUs: with work
        ``w(p) = pT(p)/T(1) = 1 + s(p-1)``, an error of :data:`RATIO_ERROR` of ``w`` at the largest
        measured number P is an error of ``w(P) * RATIO_ERROR / (P-1)`` of s.

        Parameters
        ----------
        cpus, base
            As for :meth:`ratio`.

        Returns
        -------
        low, high : float
            Factors on :meth:`ratio`, at most and at least 1.
        """
        most = max(self.measured)
        if most < 2 or max(cpus, base) <= most:
            return 1.0, 1.0
        error = RATIO_ERROR * most * self.relative_time(most) / (most - 1)
        value = self.ratio(cpus, base)
        shares = (max(0.0, self.serial - error), min(1.0, self.serial + error))
        ends = [self.model_copy(update={"serial": s}).ratio(cpus, base) / value for s in shares]
        return min(1.0, *ends), max(1.0, *ends)


def fit_cpu_law(times_s: Mapping[int, Sequence[float]]) -> CpuLaw:
    """Fit the law to measurements of one workload at several CPU counts.

    Parameters
    ----------
    times_s
        CPU count to the seconds of one or more passes.

    Raises
    ------
    UserError
        Only one CPU count was measured.

    References
    ----------
    N. Gunther, "Guerrilla Capacity Planning" (2007), chapter 4. ``pT(p)`` is linear in s and k,
    which non-negative least squares of relative errors find.
    """
    counts = sorted(times_s)
    if len(counts) < 2:
        raise UserError(
            f"a law of CPUs needs two CPU counts, only {counts[0]} was measured: "
            "add another, e.g. --cpus 1,2"
        )
    rows = [(cpus, seconds) for cpus in counts for seconds in times_s[cpus]]
    work = np.array([cpus * seconds for cpus, seconds in rows])
    columns = [np.ones(len(rows)), np.array([cpus - 1.0 for cpus, _ in rows])]
    if len(counts) > 2:
        columns.append(np.array([cpus * (cpus - 1.0) for cpus, _ in rows]))
    design = np.stack(columns, axis=1)
    found, _ = nnls(design / work[:, None], np.ones(len(rows)))
    one, serial, *more = (float(value) for value in found)
    if one <= 0:
        # The time does not fall with the CPUs: nothing runs in parallel.
        return CpuLaw(serial=1.0, crosstalk=0.0, measured=tuple(counts))
    return CpuLaw(
        serial=min(1.0, serial / one),
        crosstalk=more[0] / one if more else 0.0,
        measured=tuple(counts),
    )


def fit_contention(alone_s: float, together_s: Mapping[int, float]) -> float:
    """Fit how much an instance slows down while other instances use the rest of the machine.

    Parameters
    ----------
    alone_s
        Seconds of a pass of one instance while the other CPUs are idle.
    together_s
        Number of instances that fill the machine to the median seconds of a pass while all run.

    Returns
    -------
    float
        Relative slow-down per share of the machine that the others use, at least 0; see
        :func:`contention_factor`.
    """
    others = np.array([_share_of_others(instances) for instances in together_s])
    slower = np.array([seconds / alone_s - 1.0 for seconds in together_s.values()])
    if not others.any():
        return 0.0
    return max(0.0, float(others @ slower / (others @ others)))


def contention_factor(contention: float, instances: int) -> float:
    """Return the time of an instance on a full machine divided by its time alone.

    It depends on the share of the machine that the other instances use, not on their number: they
    compete for memory and cache, which belong to the machine.

    Parameters
    ----------
    contention
        Slow-down from :func:`fit_contention`.
    instances
        Number of instances that fill the machine.
    """
    return 1.0 + contention * _share_of_others(instances)


def _share_of_others(instances: int) -> float:
    return 1.0 - 1.0 / instances

"""Associated Legendre functions, for noise and for the synthetic atmosphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def associated_legendre(orders: int, sine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Associated Legendre functions with the Condon-Shortley sign, ``[order, degree, lat]``.

    Normalised so that the integral of the square over [-1, 1] is 1; by the three-term recurrence
    in the degree (e.g. Holmes and Featherstone 2002, Journal of Geodesy 76, eq. 11).
    """
    cosine = np.sqrt(np.maximum(1 - sine**2, 0))
    table = np.zeros((orders, orders, len(sine)))
    sectoral = np.full(len(sine), np.sqrt(0.5))
    for m in range(orders):
        if m > 0:
            sectoral = -np.sqrt(1 + 1 / (2 * m)) * cosine * sectoral
        table[m, m] = sectoral
        for degree in range(m + 1, orders):
            ratio = np.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
            below = degree - 1
            back = np.sqrt((below**2 - m**2) / (4 * below**2 - 1))
            before = table[m, degree - 2] if degree - 2 >= m else 0.0
            table[m, degree] = ratio * (sine * table[m, degree - 1] - back * before)
    return table

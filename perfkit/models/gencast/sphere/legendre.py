"""Associated Legendre functions, for the noise and the synthetic atmosphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def associated_legendre(orders: int, sine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute normalised associated Legendre functions with the Condon-Shortley sign.

    The integral of the square of each function over [-1, 1] is 1. Computed with the three-term
    recurrence in the degree (e.g. Holmes and Featherstone 2002, Journal of Geodesy 76, eq. 11).

    Parameters
    ----------
    orders
        Number of orders and of degrees, from 0.
    sine
        Sine of the latitude, ``[lat]``.

    Returns
    -------
    ndarray
        float64 ``[order, degree, lat]``; zero where the order exceeds the degree.
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

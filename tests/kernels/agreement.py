"""Agreement of a kernel with a reference that rounds elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = {"float32": 2e-5, "bfloat16": 2.0**-6}
"""Of the largest number. An intermediate result rounded to the other neighbour differs by 2^-8."""


def assert_close(got: Any, expected: Any, dtype: str) -> None:
    """Assert that finite numbers agree within :data:`TOLERANCE` and others are the same."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    finite = np.abs(expected[np.isfinite(expected)])
    largest = finite.max() if finite.size else 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * largest)

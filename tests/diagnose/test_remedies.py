"""The usual fixes hide errors or leave noise; the guard does neither."""

from __future__ import annotations

import numpy as np

from perfkit.diagnose.remedies import compare_remedies, karras_levels
from tests.support.guard_programs import karras_schedule


def test_each_fix_has_its_documented_effect() -> None:
    found = {remedy.name: remedy for remedy in compare_remedies()}
    none, maximum, where, lifted, zeroed = found.values()
    assert none.nan_levels > 0
    assert (maximum.nan_levels, maximum.hides_errors, maximum.hides_nan) == (0, True, False)
    assert (where.nan_levels, where.hides_errors, where.hides_nan) == (0, True, True)
    assert maximum.noisy_levels == where.noisy_levels > 0
    assert (lifted.nan_levels, lifted.hides_errors, lifted.hides_nan) == (0, False, False)
    assert lifted.noisy_levels == maximum.noisy_levels
    assert (zeroed.nan_levels, zeroed.noisy_levels, zeroed.hides_errors) == (0, 0, False)


def test_the_schedule_is_the_published_one() -> None:
    np.testing.assert_array_equal(karras_levels(), karras_schedule())
    np.testing.assert_allclose(karras_levels()[[0, -1]], [80, 0.03], rtol=1e-6)

"""CPUs and instances: laws of numbers that are worked out by hand."""

from __future__ import annotations

import pytest

from perfkit.capacity.laws.parallel import CpuLaw, contention_factor, fit_contention, fit_cpu_law
from perfkit.errors import UserError


def test_amdahls_law_of_two_counts() -> None:
    """10 s on one CPU, 6 s on two: 10 (f + (1-f)/2) = 6 gives a serial share f of 0.2."""
    law = fit_cpu_law({1: [10.0], 2: [6.0]})
    assert law.serial == pytest.approx(0.2)
    assert law.crosstalk == 0.0
    assert law.ratio(2, 1) == pytest.approx(0.6)
    assert law.ratio(4, 1) == pytest.approx(0.4)
    assert law.ratio(1, 2) == pytest.approx(1 / 0.6)


def test_crosstalk_of_three_counts() -> None:
    """Planted s = 0.1, k = 0.02: T(2) = 10·(1 + 0.1 + 0.04)/2, T(4) = 10·(1 + 0.3 + 0.24)/4."""
    law = fit_cpu_law({1: [10.0], 2: [5.7], 4: [3.85]})
    assert law.serial == pytest.approx(0.1)
    assert law.crosstalk == pytest.approx(0.02)


def test_a_slowdown_on_more_cpus_is_all_serial() -> None:
    law = fit_cpu_law({1: [10.0], 2: [30.0]})
    assert law.ratio(2, 1) >= 1.0


def test_one_count_is_refused() -> None:
    with pytest.raises(UserError, match=r"only 2 was measured: add another, e.g. --cpus 1,2"):
        fit_cpu_law({2: [1.0]})


def test_contention_grows_with_the_share_of_other_instances() -> None:
    """10 % slower while others use half of the machine, 15 % with three quarters: slope 0.2."""
    slope = fit_contention(10.0, {2: 11.0, 4: 11.5})
    assert slope == pytest.approx(0.2)
    assert contention_factor(slope, 4) == pytest.approx(1.15)
    assert contention_factor(slope, 1) == 1.0
    assert fit_contention(10.0, {2: 9.0}) == 0.0


def test_a_law_states_the_measured_cpu_counts() -> None:
    assert fit_cpu_law({1: [10.0], 2: [6.0]}).measured == (1, 2)
    assert CpuLaw(serial=0.0, crosstalk=0.0, measured=(1,)).relative_time(8) == 0.125


def test_more_cpus_than_were_measured_have_a_wider_interval() -> None:
    """A 7 % error of the work on two CPUs, 1.1, is an error of 0.077 of the serial share of 0.1.

    From 2 to 64 CPUs, (1 + 63 s)/64 over (1 + s)/2 is 0.2074 at s = 0.1, 0.0748 at 0.023 and
    0.3226 at 0.177.
    """
    law = CpuLaw(serial=0.1, crosstalk=0.0, measured=(1, 2))
    assert law.ratio_range(1, 2) == (1.0, 1.0)
    low, high = law.ratio_range(64, 2)
    assert law.ratio(64, 2) == pytest.approx(0.2074, rel=1e-3)
    assert low == pytest.approx(0.0748 / 0.2074, rel=1e-3)
    assert high == pytest.approx(0.3226 / 0.2074, rel=1e-3)

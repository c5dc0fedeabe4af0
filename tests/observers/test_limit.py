"""The limit of a module, decided from measured shares and rates."""

from __future__ import annotations

import pytest

from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.roofline.limit import Limit, judge
from perfkit.observers.trace.attribution import Tally

CEILINGS = Ceilings(1000.0, 2000.0, 100.0)


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({"busy_cpu_s": 2.0, "user_s": 2.0, "flops": 500.0, "bytes": 10.0}, Limit.COMPUTE),
        ({"busy_cpu_s": 2.0, "user_s": 2.0, "flops": 100.0, "bytes": 50.0}, Limit.BANDWIDTH),
        ({"busy_cpu_s": 0.9, "user_s": 0.9, "lone_idle_cpu_s": 1.1, "flops": 1.0}, Limit.SINGLE),
        ({"busy_cpu_s": 0.5, "user_s": 0.5, "all_idle_cpu_s": 1.5}, Limit.WAITING),
        ({"busy_cpu_s": 2.0, "user_s": 0.8, "system_s": 1.2}, Limit.FAULTS),
        ({}, Limit.UNKNOWN),
    ],
)
def test_the_limit_is_the_largest_share_of_the_cpus(
    changed: dict[str, float], limit: Limit
) -> None:
    tally = Tally(seconds=1.0, sampled_s=1.0 if changed else 0.0, **changed)  # type: ignore[arg-type]
    seen = judge("m", tally, 4.0, 2, CEILINGS)
    assert seen.limit is limit
    assert seen.share == 0.25
    if changed:
        assert seen.single + seen.waiting + seen.kernel + seen.working == pytest.approx(1.0)


def test_the_ceiling_follows_the_operands_of_most_products() -> None:
    tally = Tally(seconds=1.0, flops=400.0)
    tally.product_flops |= {"bf16": 300.0, "f32": 100.0}
    seen = judge("m", tally, 1.0, 2, CEILINGS)
    assert (seen.dtype, seen.compute) == ("bf16", 0.2)

"""A traced pass divided among modules, kinds and limits, worked out by hand."""

from __future__ import annotations

import pytest

from perfkit.observers.pass_sampler import PassSample
from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.roofline.limit import Limit, judge
from perfkit.observers.trace.attribution import (
    Tally,
    add_samples,
    spans_of,
    tallied,
    tallied_by_kind,
)
from perfkit.observers.trace.hlo import Cost, Kind
from perfkit.observers.trace.xla_parts import Operation

COSTS = {
    "dot.1": Cost(Kind.DOT, 100.0, 10.0, "f32", "trunk/dot"),
    "copy.1": Cost(Kind.MOVE, 0.0, 20.0, "", ""),
    "while.1": Cost(Kind.LOOP, 0.0, 0.0, "", "steps/while"),
    "add.1": Cost(Kind.ELEMENTWISE, 5.0, 30.0, "", "steps/add"),
}
OPERATIONS = [
    Operation("dot.1", 0.0, 10.0),
    Operation("copy.1", 100.0, 20.0),
    Operation("while.1", 130.0, 70.0),
    Operation("add.1", 135.0, 60.0),
]
ENDS = {"dot.1": [80.0]}
CEILINGS = Ceilings(1000.0, 2000.0, 100.0)


def _module(op_name: str) -> str | None:
    return op_name.split("/")[0] or None


def test_every_moment_belongs_to_one_operation() -> None:
    spans = spans_of(OPERATIONS, ENDS, COSTS, _module)
    seconds = tallied(spans, lambda span: span.module)
    # trunk: dot 0 to 100, the unnamed copy to 130, the loop's own 5; steps: add 135 to 195.
    assert {name: each.seconds for name, each in seconds.items()} == pytest.approx(
        {"trunk": 135e-6, "steps": 60e-6}
    )
    kinds = tallied_by_kind(spans)
    # The dot handed its work to a pool and was done at 80; the copy was done at 120.
    assert kinds == pytest.approx(
        {
            Kind.DOT: 80e-6,
            Kind.ELEMENTWISE: 60e-6,
            Kind.WAIT: 30e-6,
            Kind.MOVE: 20e-6,
            Kind.LOOP: 5e-6,
        }
    )
    assert sum(kinds.values()) == pytest.approx(195e-6)
    assert (seconds["trunk"].flops, seconds["trunk"].bytes) == (100.0, 30.0)


def test_samples_are_counted_to_the_module_that_ran() -> None:
    operations = [Operation("dot.1", 0.0, 1e6), Operation("add.1", 1e6, 1e6)]
    spans = spans_of(operations, {}, COSTS, _module)
    modules = tallied(spans, lambda span: span.module)
    samples = [
        PassSample(50.0, 0, 0.0, 0.0, 0),
        PassSample(50.5, 2, 1.0, 0.0, 10),
        PassSample(51.0, 1, 1.5, 0.0, 20),
        PassSample(51.5, 0, 1.5, 0.0, 20),
        PassSample(52.0, 3, 1.5, 1.0, 520),
    ]
    add_samples(modules, spans, samples, 50.0, 2)
    trunk, steps = modules["trunk"], modules["steps"]
    assert (trunk.busy_cpu_s, trunk.lone_idle_cpu_s, trunk.all_idle_cpu_s) == (1.5, 0.5, 0.0)
    # Three runnable threads on two CPUs are two busy CPUs.
    assert (steps.busy_cpu_s, steps.lone_idle_cpu_s, steps.all_idle_cpu_s) == (1.0, 0.0, 1.0)
    assert (trunk.faults, steps.faults, steps.system_s) == (20, 500, 1.0)


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
def test_the_limit_is_what_takes_most_of_the_cpus(changed: dict[str, float], limit: Limit) -> None:
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

"""Other load on the machine during the stages of a trial, worked out by hand."""

from __future__ import annotations

import pytest

from perfkit.observers.load import LoadMeter, load_warnings
from perfkit.observers.process_tree import MachineTimes
from perfkit.records.disturbances import Load
from tests.support.records_factory import make_stage


def test_load_is_counted_during_stages_and_not_between_them() -> None:
    times = iter(
        [
            MachineTimes(busy_s=100.0, steal_s=1.0),
            MachineTimes(busy_s=106.0, steal_s=1.5),
            # 50 busy seconds between the stages.
            MachineTimes(busy_s=156.0, steal_s=9.0),
            MachineTimes(busy_s=160.0, steal_s=9.5),
        ]
    )
    meter = LoadMeter(lambda: next(times), cpus=2)
    for _ in range(2):
        meter.enter()
        # A stage of 4 s that uses 3 CPU seconds itself.
        meter.leave(make_stage("steady", 0.0, 4.0, cpu_share=0.75))
    load = meter.load()
    assert load is not None
    # Others used 6 - 3 and 4 - 3 of the 2 x 8 CPU seconds; half a second was stolen twice.
    assert load.other_cpu_fraction == pytest.approx(4 / 16)
    assert load.steal_fraction == pytest.approx(1 / 16)
    assert load_warnings(load) == [
        "other programs used 25% of the CPUs",
        "the hypervisor took 6% of the CPU time away",
    ]


def test_a_quiet_machine_has_no_warnings() -> None:
    assert LoadMeter().load() is None
    assert load_warnings(None) == []
    quiet = Load(load_average_before=0.0, steal_fraction=0.02, other_cpu_fraction=0.05)
    assert load_warnings(quiet) == []

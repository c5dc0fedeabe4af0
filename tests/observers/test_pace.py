"""Intervals between costly samples."""

from __future__ import annotations

from perfkit.observers.pace import Pace


def test_the_interval_grows_with_the_cost_of_a_sample() -> None:
    cpu_s = iter([0.0, 0.0001, 1.0, 1.01])
    pace = Pace(0.1, lambda: next(cpu_s))
    assert pace.due(5.0)
    with pace.sampling(5.0):
        pass
    # 0.1 ms of CPU time is 0.25 % of 40 ms, less than the shortest interval.
    assert (pace.due(5.09), pace.due(5.11)) == (False, True)
    with pace.sampling(6.0):
        pass
    # 10 ms are 0.25 % of 4 s.
    assert (pace.due(9.9), pace.due(10.1)) == (False, True)

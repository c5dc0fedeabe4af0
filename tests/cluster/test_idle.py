"""The look at a node before a worker begins: how busy its CPUs are with other work."""

from __future__ import annotations

import pytest

from perfkit.cluster.idle import busy_sentence, busy_share

# Columns: user, nice, system, idle, waiting for input, interrupts, soft interrupts, stolen, guests.
BEFORE = """cpu  9 9 9 9 9 9 9 9 9 9
cpu0 100 0 50 1000 10 0 0 0 7 0
cpu1 100 0 50 1000 10 0 0 0 7 0
intr 1 2 3
"""
AFTER = """cpu  9 9 9 9 9 9 9 9 9 9
cpu0 125 0 60 1055 20 0 0 0 9 0
cpu1 200 0 50 1000 10 0 0 0 7 0
intr 1 2 3
"""


@pytest.mark.parametrize(
    ("cpus", "expected"),
    [
        # 25 + 10 of 100 ticks; idle time and waiting for input do not count.
        ([0], 0.35),
        ([1], 1.0),
        ([0, 1], 0.675),
        ([7], 0.0),
    ],
)
def test_only_the_granted_cpus_count(cpus: list[int], expected: float) -> None:
    readings = iter((BEFORE, AFTER))
    share = busy_share(cpus, lambda: next(readings), lambda seconds: None)
    assert share == pytest.approx(expected)


def test_a_busy_node_is_named_with_the_advice() -> None:
    assert busy_sentence(0.05) == ""
    assert busy_sentence(0.351) == (
        "other processes take 35% of its CPUs, so that times are longer and less certain; "
        "--exclusive gives each worker a node of its own"
    )


def test_the_real_times_of_the_cpus_are_read() -> None:
    assert 0.0 <= busy_share(wait=lambda seconds: sum(range(100_000))) <= 1.0

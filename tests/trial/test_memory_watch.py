"""Memory counters around a child, read while it lives."""

from __future__ import annotations

import os

from perfkit.observers.process_tree import TreeSample
from perfkit.trial.memory_watch import MemoryWatch

GB = 10**9


def test_the_last_sample_of_the_living_child_counts() -> None:
    watch = MemoryWatch(os.getpid(), 0.0, kernel_log=lambda: ())
    watch.sampled(TreeSample(1.0, 0.5, 5 * GB, address_bytes=9 * GB))
    # A dead process that its parent has not waited for yet holds nothing.
    watch.sampled(TreeSample(1.1, 0.5, 0))
    evidence = watch.evidence()
    assert evidence.resident_bytes == 5 * GB
    assert evidence.address_bytes == 9 * GB
    assert evidence.cpu_s == 0.5


def test_a_kill_between_the_last_two_readings_counts_and_an_old_one_does_not() -> None:
    kills = [3]
    watch = MemoryWatch(os.getpid(), 0.0, count_kills=lambda: kills[0], kernel_log=lambda: ())
    # The kill comes first, a reading of the sampling thread after it, and only then the question.
    kills[0] = 4
    watch.sampled(TreeSample(2.0, 0.5, 5 * GB))
    assert watch.evidence().machine_kills == 1
    # Seconds later the counter still stands at 4: this kill is another process's.
    for moment in range(3, 12):
        watch.sampled(TreeSample(float(moment), 0.5, 5 * GB))
    assert watch.evidence().machine_kills == 0

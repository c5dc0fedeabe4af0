"""The memory limit of a trial."""

from __future__ import annotations

from perfkit.trial.limits import Limits


def test_without_a_limit_a_trial_may_use_most_of_the_free_memory() -> None:
    assert Limits().effective_memory_bytes(lambda: 1000) == 950
    assert Limits(memory_bytes=7).effective_memory_bytes(lambda: 1000) == 7

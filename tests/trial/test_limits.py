"""Limits of a trial: what holds where none is given."""

from __future__ import annotations

import pytest

from perfkit.trial import limits
from perfkit.trial.limits import Limits


def test_a_limit_that_is_not_given_is_most_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory_bytes", lambda: 1000)
    assert Limits().effective_memory_bytes() == 950
    assert Limits(memory_bytes=7).effective_memory_bytes() == 7

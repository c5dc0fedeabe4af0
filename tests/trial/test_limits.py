"""Durations and sizes as a person writes them."""

from __future__ import annotations

import pytest

from perfkit.errors import UserError
from perfkit.trial import limits
from perfkit.trial.limits import Limits, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), (" 15 min ", 900), ("2H", 7200)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("1.5kB", 1500), ("16GB", 16 * 10**9), ("512MiB", 512 * 2**20)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["0", "0s", "0.0h"])
def test_nothing_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match="leaves nothing to work with"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5 days", "1e3", "nan", "5m3s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(UserError, match="is no duration; write a number and one of s, m, min, h"):
        parse_duration(text)


def test_a_limit_that_is_not_given_is_most_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory_bytes", lambda: 1000)
    assert Limits().effective_memory_bytes() == 950
    assert Limits(memory_bytes=7).effective_memory_bytes() == 7

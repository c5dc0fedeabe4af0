"""How a child died, from its exit code and its last words."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome
from perfkit.trial.outcome import last_words, outcome_of_death


@pytest.mark.parametrize(
    ("code", "log", "outcome", "told"),
    [
        (-signal.SIGKILL, "", Outcome.OUT_OF_MEMORY, "signal 9"),
        (-signal.SIGABRT, "what(): std::bad_alloc", Outcome.OUT_OF_MEMORY, "allocation failed"),
        (1, "mmap: Cannot allocate memory", Outcome.OUT_OF_MEMORY, "allocation failed"),
        (-signal.SIGILL, "one\ntwo\n", Outcome.CRASHED, "died of SIGILL; last words: two"),
        (7, "", Outcome.CRASHED, "ended with code 7; last words: "),
        (
            -signal.SIGABRT,
            "F1 parse.cc:1] Unknown flags in XLA_FLAGS: --xla_a=1 --xla_options=in\nmore",
            Outcome.REJECTED,
            "XLA does not know a flag: --xla_a=1 --xla_options=in",
        ),
    ],
)
def test_a_death_is_told(tmp_path: Path, code: int, log: str, outcome: Outcome, told: str) -> None:
    path = tmp_path / "log.txt"
    path.write_text(log)
    found, reason = outcome_of_death(code, path)
    assert found is outcome
    assert told in reason


def test_a_child_that_left_no_log_is_told_too(tmp_path: Path) -> None:
    assert outcome_of_death(1, tmp_path / "none")[0] is Outcome.CRASHED
    assert last_words(tmp_path / "none") == ""


def test_last_words_are_the_last_line_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("first\n" + "x" * 10_000 + "\nlast words \n\n")
    assert last_words(path) == "last words"

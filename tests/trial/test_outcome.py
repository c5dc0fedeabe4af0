"""The outcome of a child that ended without a report, from its return code and its log."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.outcome import last_line, outcome_of_death


@pytest.mark.parametrize(
    ("code", "log", "outcome", "reason"),
    [
        (-signal.SIGKILL, "", Outcome.CRASHED, "killed by signal 9; nothing shows that memory"),
        (
            -signal.SIGABRT,
            "what(): std::bad_alloc",
            Outcome.OUT_OF_MEMORY,
            "an allocation failed: what(): std::bad_alloc",
        ),
        (
            1,
            "mmap: Cannot allocate memory\nlast",
            Outcome.OUT_OF_MEMORY,
            "an allocation failed: mmap: Cannot allocate memory",
        ),
        (
            127,
            "cannot allocate memory for thread-local data: ABORT",
            Outcome.OUT_OF_MEMORY,
            "an allocation failed: cannot allocate memory for thread-local data",
        ),
        (1, "MemoryError", Outcome.OUT_OF_MEMORY, "an allocation failed: MemoryError"),
        (-40, "", Outcome.CRASHED, "died of signal 40; last output: "),
        (-signal.SIGILL, "one\ntwo\n", Outcome.CRASHED, "died of SIGILL; last output: two"),
        (7, "", Outcome.CRASHED, "exited with code 7; last output: "),
        (
            -signal.SIGABRT,
            "F1 parse.cc:1] Unknown flags in XLA_FLAGS: --xla_a=1 --xla_options=in\nmore",
            Outcome.REJECTED,
            "XLA does not know a flag: --xla_a=1 --xla_options=in",
        ),
    ],
)
def test_a_death_has_outcome_and_reason(
    tmp_path: Path, code: int, log: str, outcome: Outcome, reason: str
) -> None:
    path = tmp_path / "log.txt"
    path.write_text(log)
    found, why = outcome_of_death(code, path, MemoryEvidence())
    assert found is outcome
    assert reason in why


def test_a_child_without_a_log_has_crashed(tmp_path: Path) -> None:
    assert outcome_of_death(1, tmp_path / "none", MemoryEvidence())[0] is Outcome.CRASHED
    assert last_line(tmp_path / "none") == ""


def test_the_last_line_of_a_long_log_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("first\n" + "x" * 10_000 + "\nthe last line \n\n")
    assert last_line(path) == "the last line"


def test_a_full_address_space_is_lack_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("fatal\n")
    full = MemoryEvidence(address_bytes=7_600_000_000, address_limit_bytes=8_000_000_000)
    assert outcome_of_death(-signal.SIGSEGV, path, full) == (
        Outcome.OUT_OF_MEMORY,
        "died of SIGSEGV; address space of 7.6 GB, ulimit -v allows 8.0 GB; last output: fatal",
    )
    half = MemoryEvidence(address_bytes=4_000_000_000, address_limit_bytes=8_000_000_000)
    assert outcome_of_death(-signal.SIGSEGV, path, half)[0] is Outcome.CRASHED


def test_a_failed_allocation_long_before_the_end_is_not_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("hugepages: Cannot allocate memory, going on without\n" + "working\n" * 1000)
    assert outcome_of_death(1, path, MemoryEvidence())[0] is Outcome.CRASHED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_watches_memory_may_have_ended_the_child(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("")
    exhausted = MemoryEvidence(
        available_bytes=10**9, machine_bytes=24 * 10**9, resident_bytes=20 * 10**9
    )
    outcome, reason = outcome_of_death(-number, path, exhausted)
    assert outcome is Outcome.OUT_OF_MEMORY
    assert reason.startswith(f"killed by signal {number.value}; 20.0 GB resident, 1.0 GB of")
    # A crash on a machine without free memory is still a crash.
    assert outcome_of_death(-signal.SIGSEGV, path, exhausted)[0] is Outcome.CRASHED

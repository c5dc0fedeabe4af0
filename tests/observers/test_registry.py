"""Observers by name, and the reasons why some are unavailable."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.observers.memray_heap import MemrayHeap
from perfkit.observers.observer import Observer, Process
from perfkit.observers.perf_events import PerfEvents
from perfkit.observers.py_spy import PySpy
from perfkit.observers.registry import OBSERVERS, make_observers, of_process
from perfkit.observers.tools import ptrace_refusal


def test_every_observer_is_made_by_its_name() -> None:
    made = make_observers(OBSERVERS)
    assert [observer.name for observer in made] == list(OBSERVERS)
    assert all(observer.summary for observer in made)
    timed = [observer.name for observer in of_process(made, Process.TIMED)]
    assert timed == ["clocks", "cpu", "memory"]


def test_no_disturbing_observer_looks_at_the_timed_pass() -> None:
    disturbing = {"memray", "py-spy", "xla", "perf"}
    made = make_observers(OBSERVERS)
    assert not disturbing & {observer.name for observer in of_process(made, Process.TIMED)}


def test_an_unknown_observer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="unknown observer 'memry'; the nearest is 'mem"):
        make_observers(["memry"])


@pytest.mark.parametrize("observer", [PySpy(lambda name: None), PerfEvents(lambda name: None)])
def test_a_command_that_is_not_installed_is_reported_in_one_line(observer: Observer) -> None:
    assert (observer.unavailable() or "").startswith(f"{observer.name} is not installed")


def test_a_missing_memray_is_reported_in_one_line() -> None:
    observer = MemrayHeap(lambda name: None)
    assert observer.unavailable() == "memray is not installed: pip install memray"


@pytest.mark.parametrize(
    ("scope", "user", "refused"), [("0", 1000, False), ("1", 1000, True), ("3", 0, False)]
)
def test_a_ptrace_scope_that_forbids_tracing_is_reported_in_one_line(
    scope: str, user: int, refused: bool, tmp_path: Path
) -> None:
    (tmp_path / "scope").write_text(f"{scope}\n")
    reason = ptrace_refusal(tmp_path / "scope", user)
    assert (reason is not None) is refused
    if reason is not None:
        assert f"ptrace_scope is {scope}" in reason


def test_a_perf_that_may_not_count_is_reported_in_one_line(tmp_path: Path) -> None:
    refusing = tmp_path / "perf"
    refusing.write_text("#!/bin/sh\necho 'Access is limited' >&2\nexit 1\n")
    refusing.chmod(0o755)
    (tmp_path / "paranoid").write_text("4\n")
    observer = PerfEvents(lambda name: str(refusing), tmp_path / "paranoid")
    assert observer.unavailable() == (
        "perf may not count events here (kernel.perf_event_paranoid is 4; 1 allows it)"
    )

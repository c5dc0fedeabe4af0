"""Observers by name, and what is said where one cannot look."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.observers import tools
from perfkit.observers.observer import Place
from perfkit.observers.registry import OBSERVERS, make_observers, of_place


def test_every_observer_is_made_by_its_name() -> None:
    made = make_observers(OBSERVERS)
    assert [observer.name for observer in made] == list(OBSERVERS)
    assert all(observer.summary for observer in made)
    timed = [observer.name for observer in of_place(made, Place.TIMED)]
    assert timed == ["clocks", "cpu", "memory"]


def test_nothing_that_disturbs_looks_at_the_timed_pass() -> None:
    disturbing = {"memray", "py-spy", "xla", "perf"}
    made = make_observers(OBSERVERS)
    assert not disturbing & {observer.name for observer in of_place(made, Place.TIMED)}


def test_an_unknown_observer_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown observer 'memry'; the nearest is 'mem"):
        make_observers(["memry"])


@pytest.mark.parametrize("name", ["py-spy", "perf"])
def test_a_tool_that_is_not_installed_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("py_spy", "perf_events"):
        monkeypatch.setattr(f"perfkit.observers.{module}.find_tool", lambda tool: None)
    (observer,) = make_observers([name])
    assert (observer.unavailable() or "").startswith(f"{name} is not installed")


def test_memray_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfkit.observers.memray_heap.find_spec", lambda name: None)
    (observer,) = make_observers(["memray"])
    assert observer.unavailable() == "memray is not installed; install perfkit[profile]"


@pytest.mark.parametrize(
    ("scope", "user", "refused"), [("0", 1000, False), ("1", 1000, True), ("3", 0, False)]
)
def test_a_ptrace_scope_that_forbids_looking_is_one_line(
    scope: str, user: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scope").write_text(f"{scope}\n")
    monkeypatch.setattr(tools, "PTRACE_SCOPE", tmp_path / "scope")
    monkeypatch.setattr("os.geteuid", lambda: user)
    told = tools.ptrace_refusal()
    assert (told is not None) is refused
    if told is not None:
        assert f"ptrace_scope is {scope}" in told


def test_a_perf_that_may_count_nothing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "perf"
    refusing.write_text("#!/bin/sh\necho 'Access is limited' >&2\nexit 1\n")
    refusing.chmod(0o755)
    (tmp_path / "paranoid").write_text("4\n")
    monkeypatch.setattr("perfkit.observers.perf_events.find_tool", lambda name: str(refusing))
    monkeypatch.setattr("perfkit.observers.perf_events.PARANOID", tmp_path / "paranoid")
    (observer,) = make_observers(["perf"])
    assert observer.unavailable() == "perf may not count here (kernel.perf_event_paranoid is 4)"

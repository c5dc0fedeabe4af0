"""Where rights are lacking, perfkit says which setting grants them, and changes nothing."""

from __future__ import annotations

from pathlib import Path

from perfkit.observers.perf_events import PerfEvents
from perfkit.observers.tools import ptrace_refusal
from tests.fuzz.watch import watched


def test_the_setting_that_lacks_is_named_and_not_changed(tmp_path: Path) -> None:
    scope, paranoid = tmp_path / "ptrace_scope", tmp_path / "perf_event_paranoid"
    scope.write_text("2\n")
    paranoid.write_text("4\n")
    with watched([], commands=[("/bin/false",)]) as changes:
        tracing = ptrace_refusal(scope, user=1000)
        # false ends with code 1, as perf does where it may not count.
        counting = PerfEvents(lambda name: "/bin/false", paranoid).unavailable()
    assert tracing is not None
    assert "kernel.yama.ptrace_scope is 2; 0 allows it" in tracing
    assert counting == (
        "perf may not count events here (kernel.perf_event_paranoid is 4; 1 allows it)"
    )
    assert changes == []
    assert (scope.read_text(), paranoid.read_text()) == ("2\n", "4\n")

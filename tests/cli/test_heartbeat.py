"""The heartbeat prints a line when nothing else was printed."""

from __future__ import annotations

import threading

from perfkit.cli.heartbeat import SILENCE_S, Heartbeat


def test_a_log_gets_a_line_at_least_every_half_minute() -> None:
    assert SILENCE_S <= 30.0


def test_lines_are_repeated_while_nothing_else_is_printed() -> None:
    lines: list[str] = []
    three = threading.Event()

    def show(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            three.set()

    with Heartbeat(lambda: "still here", show, enabled=True, silence_s=0.01):
        assert three.wait(60.0)
    assert set(lines) == {"still here"}


def test_no_thread_runs_on_a_terminal_or_after_the_block() -> None:
    before = threading.active_count()
    with Heartbeat(lambda: "never", lambda line: None, enabled=False):
        assert threading.active_count() == before
    with Heartbeat(lambda: "never", lambda line: None, enabled=True):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before

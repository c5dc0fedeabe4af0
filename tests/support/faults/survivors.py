"""Processes that a program has left behind, found by a mark in their environment."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perfkit.trial.conditions.neighbours import WORKER_MODULE

MARK = "PERFKIT_TEST_MARK"
"""Variable that all descendants of a marked process inherit."""


@contextmanager
def marked() -> Iterator[str]:
    """Mark the processes that this one starts within the block."""
    before, mark = os.environ.get(MARK), new_mark()
    os.environ[MARK] = mark
    try:
        yield mark
    finally:
        if before is None:
            del os.environ[MARK]
        else:
            os.environ[MARK] = before


def new_mark() -> str:
    """A mark that no other process has."""
    return secrets.token_hex(8)


def survivors(mark: str, patience_s: float = 10.0) -> list[int]:
    """Processes with a mark that have not ended within some seconds, without this one."""
    deadline_s = time.monotonic() + patience_s
    while (found := with_mark(mark)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return found


def with_mark(mark: str) -> list[int]:
    """Processes with a mark that run now, without this one."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            # What has ended and was not waited for has no environment.
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def workers_with_mark(mark: str) -> list[int]:
    """Those of the processes with a mark that run trials."""
    return [pid for pid in with_mark(mark) if WORKER_MODULE in _command(pid)]


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""

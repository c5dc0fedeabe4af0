"""Processes that a test has started and expects to end."""

from __future__ import annotations

import time
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for_end(pid: int, seconds: float = 30.0) -> None:
    """Wait until a process has ended; it has to within ``seconds``."""
    deadline_s = time.monotonic() + seconds
    while is_running(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)

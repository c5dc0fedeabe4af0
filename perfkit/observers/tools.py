"""External tools of observers: are they there, may they look, and what did they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
PARENTS_ONLY = 1
"""Scope in which a process may be looked into by its ancestors alone (Yama)."""

END_S = 30.0
"""How long a tool may take to write its file once its process has ended."""


def find_tool(name: str) -> str | None:
    """A command beside this Python or on the PATH; None where there is none."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name)


def ptrace_refusal() -> str | None:
    """Why another process may not be looked into, None where it may."""
    try:
        scope = int(PTRACE_SCOPE.read_text())
    except (OSError, ValueError):
        return None
    if scope < PARENTS_ONLY or os.geteuid() == 0:
        return None
    return (
        f"the kernel forbids looking into other processes (kernel.yama.ptrace_scope is {scope}; "
        "0 allows it)"
    )


class Tool:
    """A command that runs beside the child, its words kept in a file.

    Parameters
    ----------
    command
        Program and arguments.
    log
        File for what it prints.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )

    def says(self, words: str) -> bool:
        """Whether it has printed ``words`` so far."""
        return words in self.log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether it is still at work."""
        return self._process.poll() is None

    def wait(self, stop_signal: int | None = None) -> str | None:
        """Wait for its end, asked for with a signal if one is given; None when it ended well.

        Returns
        -------
        Its last words where it failed.
        """
        if stop_signal is not None and self.running():
            self._process.send_signal(stop_signal)
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"did not end within {END_S:g} s"
        # Who is ended by the signal that asked for it has ended well.
        if code == 0 or (stop_signal is not None and code in (-stop_signal, 128 + stop_signal)):
            return None
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"ended with code {code}"

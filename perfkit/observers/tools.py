"""External commands of observers: find them, run them, report why they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
PARENTS_ONLY = 1
"""Scope of Yama in which only its ancestors may trace a process."""

END_S = 30.0
"""Seconds that a tool may take to write its file after the observed process has ended."""


def find_tool(name: str) -> str | None:
    """Path of a command in the folder of this Python or on the PATH; None if it is in neither."""
    installed = Path(sys.executable).with_name(name)
    return str(installed) if installed.is_file() else shutil.which(name)


def ptrace_refusal(scope_file: Path = PTRACE_SCOPE, user: int | None = None) -> str | None:
    """Why this process may not trace other processes; None if it may.

    Parameters
    ----------
    scope_file
        File with the scope of Yama.
    user
        Effective user id; that of this process by default.
    """
    try:
        scope = int(scope_file.read_text())
    except (OSError, ValueError):
        return None
    if scope < PARENTS_ONLY or (os.geteuid() if user is None else user) == 0:
        return None
    return (
        f"the kernel forbids tracing other processes (kernel.yama.ptrace_scope is {scope}; "
        "0 allows it)"
    )


class Tool:
    """A command that runs at the same time as the child.

    Parameters
    ----------
    command
        Program and arguments.
    log
        File for the output of the command.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )

    def has_printed(self, text: str) -> bool:
        """Whether the command has printed ``text`` so far."""
        return text in self.log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether the command still runs."""
        return self._process.poll() is None

    def wait(self, stop_signal: int | None = None) -> str | None:
        """Wait for the end of the command.

        Parameters
        ----------
        stop_signal
            Signal that makes the command end; none by default.

        Returns
        -------
        str or None
            Why the command failed (its last line of output); None if it succeeded.
        """
        if stop_signal is not None and self.running():
            self._process.send_signal(stop_signal)
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"did not end within {END_S:g} s"
        # The death by the signal that was sent is a success.
        if code == 0 or (stop_signal is not None and code in (-stop_signal, 128 + stop_signal)):
            return None
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"ended with code {code}"

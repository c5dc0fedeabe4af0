"""Processes that must not outlive this one: the kernel kills them when this process is gone.

The mechanism is a pipe that nobody writes to. This process holds its only write end, so that the
pipe hangs up when this process ends, however it ends. The read end is in asynchronous mode: the
kernel then sends SIGKILL to its owner (``F_SETOWN`` and ``F_SETSIG`` in fcntl(2)). Unlike a thread
that waits for the end of its parent, this works in a process that is stopped or holds Python's
lock in a long call, and it reaches a whole process group. Unlike ``PR_SET_PDEATHSIG`` it does not
depend on the thread that started the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any


class Lifeline:
    """A pipe to a process that ends with this one.

    Attributes
    ----------
    descriptor
        Read end, which the process has to inherit (``pass_fds``).
    """

    def __init__(self) -> None:
        self.descriptor, self._write_end = os.pipe()
        self._ends = [self.descriptor, self._write_end]

    def tie(self, owner: int) -> None:
        """Have the kernel kill a process, or a process group, when this process is gone.

        The read end is closed here; the other process keeps its own. Where the kernel does not
        support this, nothing happens.

        Parameters
        ----------
        owner
            Process ID, or that of a process group with a minus sign. The kernel remembers the
            process and not its number, which may be given to another one later.
        """
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.descriptor, fcntl.F_SETOWN, owner)
            fcntl.fcntl(self.descriptor, fcntl.F_SETSIG, signal.SIGKILL)
            flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
            fcntl.fcntl(self.descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
        self._ends.remove(self.descriptor)
        os.close(self.descriptor)

    def cut(self) -> None:
        """Close the pipe, which kills the owner if it still lives."""
        while self._ends:
            os.close(self._ends.pop())


def run_tied(
    command: Sequence[str],
    *,
    input: str | None = None,
    capture_output: bool = False,
    timeout: float | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a command that ends with this process, as ``subprocess.run`` does with ``check=False``.

    Parameters
    ----------
    command
        Program and arguments.
    input
        Text for its standard input; None leaves that as it is.
    capture_output
        Whether to capture what it prints.
    timeout
        Seconds after which it is killed; None for no limit.
    **options
        Further arguments of ``subprocess.Popen``.

    Raises
    ------
    OSError
        The program cannot be started.
    subprocess.TimeoutExpired
        It was killed.
    """
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    line = Lifeline()
    try:
        with subprocess.Popen(command, pass_fds=(line.descriptor,), **options) as process:
            line.tie(process.pid)
            try:
                output, errors = process.communicate(input, timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)
    finally:
        line.cut()

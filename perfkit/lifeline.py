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


class Lifeline:
    """A pipe to a process that ends with this one.

    Attributes
    ----------
    descriptor
        Read end, which the process has to inherit (``pass_fds``).
    """

    def __init__(self) -> None:
        self.descriptor, self._write_end = os.pipe()
        self._open = True

    def tie(self, group: int) -> None:
        """Have the kernel kill a process group when this process is gone.

        The read end is closed here; the processes of the group keep theirs. Where the kernel does
        not support this, nothing happens.

        Parameters
        ----------
        group
            Process group. The kernel remembers the group itself and not its number, which may be
            given to other processes later.
        """
        try:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.descriptor, fcntl.F_SETOWN, -group)
                fcntl.fcntl(self.descriptor, fcntl.F_SETSIG, signal.SIGKILL)
                flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
                fcntl.fcntl(self.descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
        finally:
            os.close(self.descriptor)

    def cut(self) -> None:
        """Close the pipe, which kills what is left of the group."""
        if self._open:
            self._open = False
            os.close(self._write_end)

"""The commands of a trial's parent, and the end of a worker that has lost its parent."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator

from perfkit.trial.messages import Command

PARENT_GONE = 3
"""Exit code of a worker whose parent has died; only a person who debugs it reads it."""


def read_commands() -> Iterator[Command]:
    """Read the commands of the parent up to ``finish``; end this process if the parent dies.

    Standard input closes when the parent dies, however it dies. A thread reads it, so that a
    worker that is compiling ends too. It reads without a buffer: when the interpreter shuts down,
    a thread that still waits would hold the buffer's lock.
    """
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()

    def listen() -> None:
        with open(0, "rb", buffering=0, closefd=False) as stream:
            for line in stream:
                command = Command(line.decode().strip())
                commands.put(command)
                if command is Command.FINISH:
                    return
        os._exit(PARENT_GONE)

    threading.Thread(target=listen, name="parent", daemon=True).start()
    return iter(commands.get, Command.FINISH)

"""The instructions of a worker's parent, and the end of a worker that has lost its parent."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator

from perfkit.trial.messages import Command, Instruction

PARENT_GONE = 3
"""Exit code of a worker whose parent has died; only a person who debugs it reads it."""


def read_instructions(last: Command) -> Iterator[Instruction]:
    """Read the instructions of the parent; end this process if the parent dies.

    Standard input closes when the parent dies, however it dies. A thread reads it, so that a
    worker that is compiling ends too, with the processes that it has started. It reads without a
    buffer: when the interpreter shuts down, a thread that still waits would hold the buffer's lock.
    The parent's :class:`~perfkit.lifeline.Lifeline` does the same where the kernel supports it.

    Parameters
    ----------
    last
        Command of the last instruction, with which the iterator ends.
    """
    arrived: queue.SimpleQueue[Instruction] = queue.SimpleQueue()

    def listen() -> None:
        with open(0, "rb", buffering=0, closefd=False) as stream:
            for line in stream:
                instruction = Instruction.parse(line.decode().strip())
                arrived.put(instruction)
                if instruction.command is last:
                    return
        if os.getpgrp() == os.getpid():
            # As perfkit starts it. In a shell, the group may hold programs of a person.
            os.killpg(0, signal.SIGKILL)
        os._exit(PARENT_GONE)

    def instructions() -> Iterator[Instruction]:
        while True:
            instruction = arrived.get()
            yield instruction
            if instruction.command is last:
                return

    threading.Thread(target=listen, name="parent", daemon=True).start()
    return instructions()

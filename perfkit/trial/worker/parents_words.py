"""What the parent of a trial says to its worker, and the end of a worker that lost its parent."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator

from perfkit.trial.messages import FINISH

PARENT_GONE = 3
"""Exit code of a worker whose parent has died: nobody reads it but a person's debugger."""


def parents_words() -> Iterator[str]:
    """What the parent says, up to its last word; a parent that is gone ends this process.

    Standard input closes when the parent dies, however it dies. It is read by a thread, so that a
    worker that is compiling leaves too, and without a buffer, whose lock a thread that still
    waits would hold when the interpreter shuts down.
    """
    said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        with open(0, "rb", buffering=0, closefd=False) as stream:
            for line in stream:
                said.put(line.decode().strip())
                if line.decode().strip() == FINISH:
                    return
        os._exit(PARENT_GONE)

    threading.Thread(target=listen, name="parent", daemon=True).start()
    return iter(said.get, FINISH)

"""Turns of tests on the machine, where several processes run tests at once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until a test may run, and hold its turn for a block.

    Tests hold a shared lock on a file, or an exclusive lock to run alone. The kernel releases the
    locks of a process that dies.

    Parameters
    ----------
    folder
        Folder of the locks, the same for all processes that run tests.
    alone
        Whether no other test may run at the same time.
    """
    with (folder / "queue").open("a") as queue, (folder / "machine").open("a") as machine:
        # Without the queue, the tests of the other processes would keep overtaking one that waits
        # to run alone.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # A child that the test forked may still have the file open.
            fcntl.flock(machine, fcntl.LOCK_UN)

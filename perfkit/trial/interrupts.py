"""Ctrl-C at a bad moment: put off until what must not be cut in two is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Run the block whole; Ctrl-C (or SIGTERM) during it takes effect when it is left.

    For blocks that take moments: ending a child, writing a record. Outside the main thread,
    where Python delivers no signals, nothing has to be put off.

    Raises
    ------
    KeyboardInterrupt
        At the end, where the user pressed Ctrl-C meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        raise KeyboardInterrupt

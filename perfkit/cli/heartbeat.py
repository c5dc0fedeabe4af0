"""Regular lines in a log file: one is printed when nothing else was for half a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

SILENCE_S = 25.0
"""Longest time without a line, in seconds: the log gets a line at least every 30 s."""


class Heartbeat:
    """Prints a line whenever ``silence_s`` have passed without any; a context manager.

    Parameters
    ----------
    line
        Function that makes the line to print.
    show
        Function that prints the line; called from another thread.
    enabled
        Whether to print; False where a progress bar shows the same.
    silence_s
        Longest time without a line, in seconds.
    """

    def __init__(
        self,
        line: Callable[[], str],
        show: Callable[[str], None],
        *,
        enabled: bool,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._line = line
        self._show = show
        self._enabled = enabled
        self._silence_s = silence_s
        self._last_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self.heard()
        if self._enabled:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._enabled:
            self._thread.join()

    def heard(self) -> None:
        """Note that something else was printed."""
        self._last_s = time.monotonic()

    def _beat(self) -> None:
        left_s = self._silence_s
        while not self._ended.wait(left_s):
            left_s = self._last_s + self._silence_s - time.monotonic()
            if left_s <= 0:
                self._show(self._line())
                self.heard()
                left_s = self._silence_s

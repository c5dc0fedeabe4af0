"""The parent's end of the event pipe."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable

from perfkit.trial.messages import Event, EventKind, GarbledError, parse_event

SLICE_S = 1.0
"""Longest single wait for an event. A wait that takes more than twice as long counts as twice as
long: this process itself was held up (a suspended job, a sleeping machine)."""


LAST_S = 0.2
"""Seconds in which all that a process wrote before its end has arrived."""

LONGEST_EVENT_BYTES = 64 << 20
"""Longest line that is taken for an event; counts of the guard make the longest ones (100 kB)."""


class TimeIsUpError(Exception):
    """The child has used up its time limit."""


class EventQueue:
    """The events of a trial, as another thread puts them.

    Only waiting counts against the time limit. A child that idles between passes uses up nothing,
    and neither does a child that was suspended together with this process.

    Parameters
    ----------
    time_limit_s
        Seconds that may be waited for events in total, None for no limit.
    clock
        Monotonic clock that waits are measured with, in seconds.
    slice_s
        Longest single wait in seconds.
    """

    def __init__(
        self,
        time_limit_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        slice_s: float = SLICE_S,
    ) -> None:
        self._time_limit_s = time_limit_s
        self._clock = clock
        self._slice_s = slice_s
        self._waited_s = 0.0
        self._events: queue.Queue[Event | None] = queue.Queue()

    def put(self, event: Event | None) -> None:
        """Add an event, or None for the end of all events."""
        self._events.put(event)

    def next(self, has_ended: Callable[[], bool] = lambda: False) -> Event | None:
        """Wait for the next event and return it; None once the child has ended.

        Parameters
        ----------
        has_ended
            Whether the child's process has ended. Processes that it has forked hold its pipe open,
            so that the end of the pipe alone would be waited for in vain.

        Raises
        ------
        TimeIsUpError
            The time limit is reached.
        """
        limit_s = self._time_limit_s
        ended = False
        while True:
            left_s = self._slice_s if limit_s is None else limit_s - self._waited_s
            slice_s = LAST_S if ended else self._slice_s
            begin_s = self._clock()
            try:
                return self._events.get(timeout=max(0.0, min(slice_s, left_s)))
            except queue.Empty:
                if ended:
                    return None
            finally:
                self._waited_s += min(self._clock() - begin_s, 2 * self._slice_s)
            ended = has_ended()
            if not ended and limit_s is not None and self._waited_s >= limit_s:
                raise TimeIsUpError

    def has_event(self) -> bool:
        """Whether an event, or the end of the stream, can be taken without waiting."""
        return not self._events.empty()

    def drain(self) -> list[Event]:
        """Take all events that have arrived, without waiting."""
        events = []
        while self.has_event():
            event = self._events.get()
            if event is not None:
                events.append(event)
        return events


class EventStream(EventQueue):
    """The events of a child of its own, read from a pipe by a thread.

    Parameters
    ----------
    descriptor
        Read end of the pipe; closed once the other end is.
    time_limit_s, clock, slice_s
        As for :class:`EventQueue`.
    """

    def __init__(
        self,
        descriptor: int,
        time_limit_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        slice_s: float = SLICE_S,
    ) -> None:
        super().__init__(time_limit_s, clock, slice_s)
        read_events(descriptor, self.put)


def read_events(descriptor: int, put: Callable[[Event | None], None]) -> None:
    """Read events from a pipe in a thread.

    Parameters
    ----------
    descriptor
        Read end of the pipe; closed once the other end is.
    put
        Called in that thread with each event, and with None at the end of the pipe. After anything
        else than an event it is called with the event ``garbled``, and nothing more is read.
    """

    def read() -> None:
        with os.fdopen(descriptor, "rb") as stream:
            while line := stream.readline(LONGEST_EVENT_BYTES):
                # A child that is killed in the middle of a write leaves half a line, its last.
                if not line.endswith(b"\n") and len(line) < LONGEST_EVENT_BYTES:
                    continue
                try:
                    put(parse_event(line.decode(errors="backslashreplace")))
                except GarbledError as error:
                    put(Event(EventKind.GARBLED, {"reason": str(error)}))
                    break
        put(None)

    threading.Thread(target=read, daemon=True).start()

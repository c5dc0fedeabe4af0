"""Ctrl-C, SIGTERM and SIGHUP: they take effect at a safe moment and never end in a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that request the end of a program: from a person, a batch system, or a terminal that was
closed."""

MAX_RAISED = 2
"""The first request ends the measurement in good order, the second one hurries. A third one that
arrives while the second is handled could only break the handling."""

PATIENCE_S = 10.0
"""Seconds after the second request from which a further request means that the program hangs."""

RETRY_S = 0.01
"""Seconds until a request is repeated that was raised where Python can only print it."""

EXIT_CODE = 130
"""128 + SIGINT, as shells report it."""


class _Requests:
    """Counts requests to end and raises ``KeyboardInterrupt`` for the first ones."""

    def __init__(self, patience_s: float) -> None:
        self.count = 0
        self._patience_s = patience_s
        self._last_raised_s = 0.0
        # Looked up now: a terminal that was closed is no longer recognised as one.
        self._terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if number == signal.SIGHUP:
            _redirect_to_null(self._terminals)
        if self.count <= MAX_RAISED:
            self._last_raised_s = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._last_raised_s > self._patience_s:
            # Records are on disk as soon as they exist, and children end with their parent.
            os._exit(EXIT_CODE)


def install_interrupt_handlers(patience_s: float = PATIENCE_S) -> None:
    """Make requests to end raise ``KeyboardInterrupt``, at most twice.

    An ignored signal stays ignored: ``nohup`` and shells ignore signals for their programs on
    purpose.

    Parameters
    ----------
    patience_s
        Seconds after the second request from which a third one ends this process at once.
    """
    requests = _Requests(patience_s)
    for number in END_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, requests)
    report = sys.unraisablehook

    def repeat_or_report(unraisable: sys.UnraisableHookArgs) -> None:
        # An interrupt in a finaliser is only printed by Python: raise it again a moment later.
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            requests.count -= 1
            threading.Timer(RETRY_S, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            report(unraisable)

    sys.unraisablehook = repeat_or_report


def ignore_interrupts() -> None:
    """Ignore requests to end from now on, because all work is done.

    The process then ends with its own exit code, also if one has just been raised.
    """
    while True:
        try:
            _set_handlers(dict.fromkeys(END_SIGNALS, signal.SIG_IGN))
            break
        except KeyboardInterrupt:
            # A request that arrived before is raised when the first handler is set.
            continue
    # If a request was raised while Python ran a text, as it does to make dataclasses, `python -m`
    # ends with SIGINT although the request was handled: CPython remembers it until the next text
    # (`unhandled_keyboard_interrupt` in pythonrun.c). Making a class of named tuples runs one.
    namedtuple("Forget", ())


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Run the block to its end; a request to end that arrives meanwhile takes effect afterwards.

    For blocks that take moments, such as ending a child or writing a record. Outside the main
    thread, where Python delivers no signals, this does nothing.

    Raises
    ------
    KeyboardInterrupt
        After the block, if a request arrived during it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.getsignal(number) for number in END_SIGNALS}
    before = {number: kind for number, kind in before.items() if kind is not signal.SIG_IGN}
    try:
        _set_handlers(dict.fromkeys(before, note))
        yield
    finally:
        _set_handlers({number: kind or signal.SIG_DFL for number, kind in before.items()})
    if arrived:
        handler = before[signal.Signals(arrived[0])]
        if isinstance(handler, _Requests):
            # Requests that arrived while nothing could answer count as one.
            handler(arrived[0], None)
        else:
            raise KeyboardInterrupt


def _set_handlers(handlers: dict[signal.Signals, object]) -> None:
    """Set all handlers at once: a signal that arrives between two of them waits."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as getsignal returned it
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _redirect_to_null(terminals: Sequence[int]) -> None:
    """Redirect descriptors of a closed terminal, which answers every write with an error."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in terminals:
            os.dup2(null, descriptor)
        os.close(null)

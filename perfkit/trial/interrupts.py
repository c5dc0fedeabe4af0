"""Ctrl-C, SIGTERM and SIGHUP: heeded at a good moment, and never answered with a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a program to end: a person, a batch system, a terminal that was closed."""

RAISED_MOST = 2
"""The first request ends what is measured in good order, the second one hurries; a third that
came while the second is answered could only break the answer."""

PATIENCE_S = 10.0
"""A request this long after the one that hurried means that something hangs."""

AGAIN_S = 0.01
"""After which a request is made again that was raised where Python can only print it."""

EXIT_CODE = 130
"""128 + SIGINT, as shells report it."""


class _Requests:
    """Counts requests to end and raises ``KeyboardInterrupt`` for the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self._hurried_s = 0.0
        # Asked for now: a terminal that was closed is none any more.
        self._terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if number == signal.SIGHUP:
            _send_nowhere(self._terminals)
        if self.count <= RAISED_MOST:
            self._hurried_s = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._hurried_s > PATIENCE_S:
            # Records are on disk as soon as they exist, and children end with their parent.
            os._exit(EXIT_CODE)


def heed_interrupts() -> None:
    """Have requests to end raise ``KeyboardInterrupt``, twice at most.

    A signal that is ignored stays so: ``nohup`` and shells start programs like that on purpose.
    """
    requests = _Requests()
    for number in ASKING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, requests)
    report = sys.unraisablehook

    def pass_on(unraisable: sys.UnraisableHookArgs) -> None:
        # Raised where Python can only print it (a finaliser): raise it again, at another moment.
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            requests.count -= 1
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            report(unraisable)

    sys.unraisablehook = pass_on


def ignore_interrupts() -> None:
    """Nothing is left to be ended: requests to end come too late from now on."""
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Run the block whole; a request to end during it takes effect when it is left.

    For blocks that take moments: ending a child, writing a record. Outside the main thread,
    where Python delivers no signals, nothing has to be put off.

    Raises
    ------
    KeyboardInterrupt
        At the end, where a request came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.getsignal(number) for number in ASKING}
    before = {number: kind for number, kind in before.items() if kind is not signal.SIG_IGN}
    try:
        _set_handlers(dict.fromkeys(before, note))
        yield
    finally:
        _set_handlers({number: kind or signal.SIG_DFL for number, kind in before.items()})
    if arrived:
        heeding = before[signal.Signals(arrived[0])]
        if isinstance(heeding, _Requests):
            # However many came while nobody could answer: they are one request.
            heeding(arrived[0], None)
        else:
            raise KeyboardInterrupt


def _set_handlers(handlers: dict[signal.Signals, object]) -> None:
    """Set all handlers or none: a signal between two of them waits."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _send_nowhere(terminals: Sequence[int]) -> None:
    """Detach descriptors from a terminal that was closed: it answers every line with an error."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)

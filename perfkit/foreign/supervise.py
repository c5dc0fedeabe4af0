"""Run a command and wait for it, without changing how it sees signals or how it ends."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from perfkit.errors import UserError

RELAYED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""Signals that are passed on to the command if a process sends them to perfkit alone."""

RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores in its own process, and that a command gets back."""

_SENT_BY_KERNEL = 0
"""Codes above are of signals that the kernel sends, for example for a key of the terminal, to the
whole process group (sigaction(2), ``si_code``)."""

_LOOK_S = 1.0
"""Seconds until the command is looked at again, should the signal of its end get lost."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it and its descendants used.

    Attributes
    ----------
    code
        Exit code; 128 + signal if a signal ended it, as shells report it.
    by_signal
        The signal that ended it; None if it exited by itself.
    wall_s, user_s, system_s
        Wall seconds; CPU seconds in user mode and in the kernel.
    peak_process_bytes
        Peak resident memory of its largest process; 0 where it is unknown.
    minor_faults, major_faults
        Page faults without and with disk access.
    voluntary_switches, involuntary_switches
        Context switches.
    """

    code: int
    by_signal: int | None
    wall_s: float
    user_s: float
    system_s: float
    peak_process_bytes: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int

    @property
    def exit_code(self) -> int:
        """The code for perfkit to return; a :class:`SignalCode` if a signal ended the command."""
        return self.code if self.by_signal is None else SignalCode(self.code)


class SignalCode(int):
    """Exit code 128 + signal of a command that a signal ended.

    A shell stops a loop at a command that SIGINT ended, and goes on after one that exited with the
    code 130. perfkit therefore ends by the same signal: see :meth:`end_this_process`.
    """

    def end_this_process(self) -> NoReturn:
        """End this process by the same signal, without a core dump of its own."""
        number = int(self) - 128
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        os._exit(int(self))


def run_command(
    command: Sequence[str],
    environment: Mapping[str, str],
    watch: Callable[[int], AbstractContextManager[Any]],
) -> Ended:
    """Run a command and wait for it to end.

    The command is in the process group of this process and gets the signals of the terminal
    itself. A signal that a process sends to this process alone is passed on to the command.

    Parameters
    ----------
    command
        The program and its arguments.
    environment
        Environment of the command.
    watch
        Called with the process id of the command. The context that it returns is left when the
        command has ended.

    Raises
    ------
    UserError
        The command cannot be started.
    """
    # A new process starts with the peak of its parent (getrusage(2), ru_maxrss, in KiB), so that a
    # smaller one is not seen.
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    relay = _Relay()
    with relay.instead_of_handlers() as mask:
        begin_s = time.monotonic()
        try:
            pid = os.posix_spawnp(
                command[0], list(command), environment, setsigmask=mask, setsigdef=RESTORED
            )
        except OSError as error:
            raise cannot_run_error(command, error) from error
        # Threads that are started here inherit the blocked signals.
        with watch(pid):
            status, used = relay.wait(pid)
            wall_s = time.monotonic() - begin_s
    code = os.waitstatus_to_exitcode(status)
    return Ended(
        code=code if code >= 0 else 128 - code,
        by_signal=-code if code < 0 else None,
        wall_s=wall_s,
        user_s=used.ru_utime,
        system_s=used.ru_stime,
        peak_process_bytes=0 if used.ru_maxrss <= own_peak else used.ru_maxrss * 1024,
        minor_faults=used.ru_minflt,
        major_faults=used.ru_majflt,
        voluntary_switches=used.ru_nvcsw,
        involuntary_switches=used.ru_nivcsw,
    )


def cannot_run_error(command: Sequence[str], error: OSError) -> UserError:
    """Return the error for a command that cannot be started."""
    return UserError(f"the command '{shlex.join(command)}' cannot be run: {error.strerror}")


@contextlib.contextmanager
def signals_for_main_thread() -> Iterator[None]:
    """Block the relayed signals for threads that libraries start while the block imports them.

    The kernel gives a signal to any thread that does not block it, and only a thread that waits for
    it learns where it comes from.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RELAYED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Relay:
    """Waits for a command, and passes on signals meanwhile."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._waited = {*RELAYED, signal.SIGCHLD}

    @contextlib.contextmanager
    def instead_of_handlers(self) -> Iterator[set[int]]:
        """Handle signals while the block runs.

        Yields
        ------
        set of int
            The signals that were blocked before.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._waited)
        handlers = self._handlers()
        try:
            yield {int(number) for number in mask}
            # An interrupt that has ended the command must not end the report on it, too.
            while signal.sigtimedwait(self._waited, 0) is not None:
                continue
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler or signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def wait(self, pid: int) -> tuple[int, resource.struct_rusage]:
        """Wait for the command; return its status and what it used."""
        self._pid = pid
        while True:
            ended, status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                self._pid = None
                return status, used
            arrived = signal.sigtimedwait(self._waited, _LOOK_S)
            if (
                arrived is not None
                and arrived.si_signo != signal.SIGCHLD
                and arrived.si_code <= _SENT_BY_KERNEL
            ):
                os.kill(pid, arrived.si_signo)

    def _handlers(self) -> dict[signal.Signals, Any]:
        """Set handlers for signals that another thread gets; return those before.

        Ignored signals stay ignored: ``nohup`` and shells ignore signals on purpose. Python runs
        handlers in its main thread, and lets no other thread set them.
        """
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {
            number: signal.signal(number, self._pass_on)
            for number in RELAYED
            if signal.getsignal(number) is not signal.SIG_IGN
        }

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._pid is not None:
            os.kill(self._pid, number)

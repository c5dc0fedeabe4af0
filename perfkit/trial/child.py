"""The child process of a trial: its start, its commands, its events and its end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from perfkit.errors import UserError
from perfkit.files import reason_of
from perfkit.lifeline import Lifeline
from perfkit.observers.process_tree import descendants
from perfkit.records.schema import Outcome
from perfkit.trial.events import EventQueue, EventStream
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.messages import Command, Event, Instruction, TrialSpec
from perfkit.trial.outcome import outcome_of_death

GRACE_S = 5.0
"""Seconds that a child may take to exit after the command to finish."""

NO_MORE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Errors of a start for which a limit of processes, memory or open files is the cause."""

POLL_S = 0.002
"""Seconds between two looks at a child that is about to exit."""


def worker_command(python: str | None = None) -> tuple[str, ...]:
    """Command of a trial's child.

    It is given the path of its specification and the number of the file descriptor for events.

    Parameters
    ----------
    python
        Executable that runs the child; None for that of this process.
    """
    return (python or sys.executable, "-m", "perfkit.trial.worker")


class TrialChild(Protocol):
    """The child of a trial: a process of its own, or a part of one that other trials share."""

    @property
    def memory_limit_bytes(self) -> int | None:
        """Limit of the resident set of the process tree, None for no limit."""
        ...

    @property
    def pid(self) -> int:
        """Process ID of the root of the process tree."""
        ...

    @property
    def log(self) -> Path:
        """File of what the process prints."""
        ...

    @property
    def events(self) -> EventQueue:
        """Events of the trial."""
        ...

    def send(self, command: Command) -> bool:
        """Send a command; False if the child no longer reads."""
        ...

    def has_ended(self) -> bool:
        """Whether the trial can run no further pass."""
        ...

    def explain_death(self, evidence: MemoryEvidence) -> tuple[Outcome, str]:
        """Outcome and reason of a trial whose child has died before it was done.

        Parameters
        ----------
        evidence
            What was observed of memory.
        """
        ...

    def kill(self, reason: str) -> None:
        """End the trial at once; ``reason`` is for others that this ends too."""
        ...

    def end(self, *, patient: bool) -> list[Event]:
        """End the trial in its child and return the events that were not taken yet.

        Parameters
        ----------
        patient
            Whether the child gets time to end by itself.
        """
        ...


class WorkerProcess:
    """A worker in a process group of its own, without its events.

    The group ends with this process, however that ends: see :mod:`perfkit.lifeline`.

    Parameters
    ----------
    command
        Command of the worker; the number of the file descriptor for events is appended.
    log
        File to write what the worker prints to.
    environment
        Environment variables of the worker.

    Attributes
    ----------
    log
        The same file.
    event_descriptor
        Read end of the pipe of events; the reader closes it.

    Raises
    ------
    UserError
        A limit of processes, memory or open files does not allow another process.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self._lifeline = Lifeline()
        self.event_descriptor, write_end = os.pipe()
        try:
            # Appended to: the file is cut while the worker writes, see LogLimit.
            with log.open("ab") as stream:
                self._process = subprocess.Popen(
                    [*command, str(write_end)],
                    stdin=subprocess.PIPE,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    pass_fds=(write_end, self._lifeline.descriptor),
                    start_new_session=True,
                )
        except OSError as error:
            if error.errno not in NO_MORE:
                raise
            raise UserError(
                f"the process of a trial cannot be started ({reason_of(error)}): raise the limits "
                "of processes and open files (ulimit -u, ulimit -n), or end other programs"
            ) from error
        self._lifeline.tie(-self._process.pid)
        os.close(write_end)

    @property
    def pid(self) -> int:
        """Process ID of the worker, the root of its process tree."""
        return self._process.pid

    def send(self, instruction: Instruction) -> bool:
        """Send an instruction; False if the worker no longer reads."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return False
        try:
            stdin.write(f"{instruction.line()}\n".encode())
            stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def has_ended(self) -> bool:
        """Whether the process has exited."""
        return self._exit_code(wait=False) is not None

    def wait(self) -> int:
        """Wait for a worker that has closed its event pipe, and return its return code."""
        code = self._exit_code(wait=True)
        return self._process.wait() if code is None else code

    def kill(self) -> None:
        """Kill the worker, its process group, and descendants that have left the group."""
        if self._process.returncode is not None:
            return
        tree = descendants(self.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in tree[1:]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def end(self, grace_s: float) -> None:
        """Close the worker's input, give it ``grace_s`` seconds to exit, and kill its group.

        What a worker has started and left behind ends with it.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        deadline_s = time.monotonic() + grace_s
        while not self.has_ended() and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        self.kill()
        self._process.wait()
        self._lifeline.cut()

    def _exit_code(self, *, wait: bool) -> int | None:
        """Return code of the worker; None if it runs and is not to be waited for.

        The worker stays a zombie until :meth:`end`: the number of its group stays its own until
        then, and can be killed without harm to others.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        options = os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)
        try:
            found = os.waitid(os.P_PID, self.pid, options)
        except ChildProcessError:
            return self._process.wait()
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


KILL_S = 0.1
"""Seconds that a child may take to exit that nothing is expected of any more."""


class ChildProcess:
    """The child of one trial.

    Parameters
    ----------
    spec
        Specification of the trial; written to ``folder``.
    folder
        Existing folder for the specification and for what the child prints.
    environment
        Environment variables of the child.
    time_limit_s
        Seconds that the child may be waited for in total, None for no limit.
    grace_s
        Seconds that the child may take to exit after the command to finish.
    command
        Command of the child; the path of the specification and the number of the file descriptor
        for events are appended. By default a worker under the Python of the specification.

    Attributes
    ----------
    memory_limit_bytes
        Limit of the resident set of the process tree.
    events
        Events of the child.
    """

    def __init__(
        self,
        spec: TrialSpec,
        folder: Path,
        environment: Mapping[str, str],
        time_limit_s: float | None,
        grace_s: float = GRACE_S,
        command: Sequence[str] | None = None,
    ) -> None:
        self.memory_limit_bytes = spec.memory_limit_bytes
        self._grace_s = grace_s
        spec_file = folder / "spec.json"
        spec.write(spec_file)
        own = worker_command(spec.python) if command is None else command
        self._worker = WorkerProcess(
            [*own, str(spec_file.resolve())], folder / "log.txt", environment
        )
        self.events: EventQueue = EventStream(self._worker.event_descriptor, time_limit_s)

    @property
    def pid(self) -> int:
        """Process ID of the child, the root of its process tree."""
        return self._worker.pid

    @property
    def log(self) -> Path:
        """File of what the child prints."""
        return self._worker.log

    def send(self, command: Command) -> bool:
        """Send a command; False if the child no longer reads."""
        return self._worker.send(Instruction(command))

    def has_ended(self) -> bool:
        """Whether the process has exited."""
        return self._worker.has_ended()

    def wait(self) -> int:
        """Wait for a child that has closed its event pipe, and return its return code."""
        return self._worker.wait()

    def explain_death(self, evidence: MemoryEvidence) -> tuple[Outcome, str]:
        """Outcome and reason of a child that has closed its event pipe without a report."""
        return outcome_of_death(self.wait(), self.log, evidence)

    def kill(self, reason: str = "") -> None:
        """Kill the worker and all that it has started."""
        self._worker.kill()

    def end(self, *, patient: bool) -> list[Event]:
        """End the child and return the events that were not taken yet.

        Parameters
        ----------
        patient
            Whether the child gets ``grace_s`` seconds to exit by itself.
        """
        self._worker.end(self._grace_s if patient else KILL_S)
        return self.events.drain()


type StartChild = Callable[[TrialSpec, Path, Mapping[str, str], float | None, float], TrialChild]
"""Starts the child of a trial from specification, folder, environment, time limit and grace; see
:class:`ChildProcess`, which is the usual one."""

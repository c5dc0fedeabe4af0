"""The child process of a trial: its start, its commands, its events and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from perfkit.records.schema import Outcome
from perfkit.trial.events import EventQueue, EventStream
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.messages import Command, Event, Instruction, TrialSpec
from perfkit.trial.outcome import outcome_of_death

GRACE_S = 5.0
"""Seconds that a child may take to exit after the command to finish."""


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
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self.event_descriptor, write_end = os.pipe()
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [*command, str(write_end)],
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(write_end,),
                start_new_session=True,
            )
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
        return self._process.poll() is not None

    def wait(self) -> int:
        """Wait for a worker that has closed its event pipe, and return its return code."""
        return self._process.wait()

    def kill(self) -> None:
        """Kill the whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, grace_s: float) -> None:
        """Close the worker's input, and kill it if it has not exited ``grace_s`` seconds later."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


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
        """Kill the whole process group."""
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

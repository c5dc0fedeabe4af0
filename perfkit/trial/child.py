"""The child process of a trial: its start, its commands, its events and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from perfkit.trial.events import EventStream
from perfkit.trial.messages import Command, Event, TrialSpec

GRACE_S = 5.0
"""Seconds that a child may take to exit after the command to finish."""

WORKER_COMMAND = (sys.executable, "-m", "perfkit.trial.worker")
"""Command of a trial's child, which is given the path of its specification and the number of the
file descriptor for events."""


class ChildProcess:
    """A worker in a process group of its own.

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
        for events are appended.

    Attributes
    ----------
    log
        File of what the child prints.
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
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self.log = folder / "log.txt"
        self._grace_s = grace_s
        spec.write(folder / "spec.json")
        read_end, write_end = os.pipe()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, str((folder / "spec.json").resolve()), str(write_end)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        os.close(write_end)
        self.events = EventStream(read_end, time_limit_s)

    @property
    def pid(self) -> int:
        """Process ID of the child, the root of its process tree."""
        return self._process.pid

    def send(self, command: Command) -> bool:
        """Send a command; False if the child no longer reads."""
        stdin = self._process.stdin
        if stdin is None:
            return False
        try:
            stdin.write(f"{command}\n".encode())
            stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def has_ended(self) -> bool:
        """Whether the process has exited."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Wait for a child that has closed its event pipe, and return its return code."""
        return self._process.wait()

    def kill(self) -> None:
        """Kill the whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, *, patient: bool) -> list[Event]:
        """End the child and return the events that were not taken yet.

        Parameters
        ----------
        patient
            Whether the child gets ``grace_s`` seconds to exit by itself.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(self._grace_s if patient else 0.1)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        return self.events.drain()


type StartChild = Callable[[TrialSpec, Path, Mapping[str, str], float | None, float], ChildProcess]
"""Starts the child of a trial from specification, folder, environment, time limit and grace; see
:class:`ChildProcess`, which is the usual one."""

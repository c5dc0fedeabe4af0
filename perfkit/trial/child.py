"""The child process of a trial: started, spoken to, listened to, and always brought to its end."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from perfkit.trial.messages import Event, TrialSpec, parse_event

GRACE_S = 5.0
"""How long a child that was told to finish may take to exit."""

SLICE_S = 1.0
"""Longest time that is waited at once; what one wait takes beyond it twofold is not counted, as
this process itself was held up then (a suspended job, a machine that slept)."""


class TimeIsUpError(Exception):
    """The child has worked as long as it may."""


class ChildProcess:
    """A worker in a process group of its own.

    Parameters
    ----------
    spec
        What it is told; left in ``folder``.
    folder
        For the specification and what the child prints.
    environment
        Of the child.
    time_limit_s
        Seconds that it may be waited for in all, None for no limit.
    grace_s
        How long it may take to exit once it was told to finish.
    """

    def __init__(
        self,
        spec: TrialSpec,
        folder: Path,
        environment: Mapping[str, str],
        time_limit_s: float | None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.log = folder / "log.txt"
        self._time_limit_s = time_limit_s
        self._grace_s = grace_s
        self._waited_s = 0.0
        self._events: queue.Queue[Event | None] = queue.Queue()
        spec.write(folder / "spec.json")
        read_end, write_end = os.pipe()
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "perfkit.trial.worker"]
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
        threading.Thread(target=self.read_events, args=(read_end,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Root of its process tree."""
        return self._process.pid

    def read_events(self, descriptor: int) -> None:
        """Take in events until the other end of the pipe is closed."""
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            for line in stream:
                # A child that is killed while it writes leaves half a line, its last.
                if line.endswith("\n"):
                    self._events.put(parse_event(line))
        self._events.put(None)

    def say(self, word: str) -> bool:
        """Say a word; False where nobody listens any more."""
        stdin = self._process.stdin
        if stdin is None:
            return False
        try:
            stdin.write(f"{word}\n".encode())
            stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def has_told(self) -> bool:
        """Whether an event waits to be taken."""
        return not self._events.empty()

    def next_event(self) -> Event | None:
        """The next event, None once the child has closed its end.

        Only waiting counts against the time limit: a child that idles between passes uses up
        nothing, and neither does one that was suspended together with this process.

        Raises
        ------
        TimeIsUpError
            The limit is reached.
        """
        limit_s = self._time_limit_s
        while True:
            left_s = SLICE_S if limit_s is None else min(SLICE_S, limit_s - self._waited_s)
            begin_s = time.monotonic()
            try:
                return self._events.get(timeout=max(0.0, left_s))
            except queue.Empty:
                pass
            finally:
                self._waited_s += min(time.monotonic() - begin_s, 2 * SLICE_S)
            if limit_s is not None and self._waited_s >= limit_s:
                raise TimeIsUpError

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """The return code of a child that has closed its end."""
        return self._process.wait()

    def kill(self) -> None:
        """End the whole process group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, *, patient: bool) -> list[Event]:
        """Bring it to its end and return what it told last.

        Parameters
        ----------
        patient
            Whether it may still tidy up.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(self._grace_s if patient else 0.1)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        left = []
        while not self._events.empty():
            event = self._events.get()
            if event is not None:
                left.append(event)
        return left

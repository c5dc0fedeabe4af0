"""Child processes that hold the programs of several trials, which are then timed in turns.

Use :meth:`SharedChildren.start` to start the children of trials whose labels say that they share a
process:

>>> with SharedChildren() as shared:  # doctest: +SKIP
...     trial = TrialProcess(request, start_child=shared.start)
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from perfkit.records.schema import Outcome
from perfkit.trial.child import GRACE_S, KILL_S, WorkerProcess, worker_command
from perfkit.trial.events import EventQueue, read_events
from perfkit.trial.interrupts import interrupts_deferred
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.messages import Command, Event, EventKind, Instruction, TrialSpec
from perfkit.trial.outcome import outcome_of_death

SERVED_S = 0.2
"""Seconds in which the report that an instruction was served arrives after its last event."""


@dataclass(frozen=True)
class _Terms:
    """What all trials of one child have in common.

    Attributes
    ----------
    environment
        Environment variables, sorted.
    affinity
        CPUs.
    compile_cache
        Folder of JAX's persistent compilation cache.
    python
        Executable that runs the child.
    """

    environment: tuple[tuple[str, str], ...]
    affinity: tuple[int, ...]
    compile_cache: str | None
    python: str | None


class SharedChildren:
    """One child for all trials with equal environment, CPUs, compilation cache and Python.

    A child that has died is replaced at the next start. A child that no trial uses lives until
    another one has to be started, which may need its memory. As a context manager, this ends all
    children with the block.

    Parameters
    ----------
    command
        Command of a child; the number of the file descriptor for events is appended. By default a
        worker under the Python of the specification.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command
        self._children: dict[_Terms, SharedChild] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(
        self,
        spec: TrialSpec,
        folder: Path,
        environment: Mapping[str, str],
        time_limit_s: float | None,
        grace_s: float = GRACE_S,
    ) -> SharedTrial:
        """Open a trial in a child, which is started if there is none; a ``StartChild``.

        The trial waits while the child works for another. Wait until it is ready before the next
        one is started: the time limit of a trial counts from its first wait.

        Parameters
        ----------
        spec
            Specification of the trial; written to ``folder``.
        folder
            Existing folder for the specification, and for what the child prints if it is started
            for this trial.
        environment
            Environment variables of the child.
        time_limit_s
            Seconds that the trial may be waited for in total, None for no limit.
        grace_s
            Seconds that the child may take to exit at the end of all trials.

        Raises
        ------
        ValueError
            Observers are to work inside the child.
        """
        if spec.observers:
            raise ValueError("observers need a process of the trial's own, not a shared one")
        variables = tuple(sorted(environment.items()))
        terms = _Terms(variables, spec.affinity, spec.compile_cache, spec.python)
        child = self._children.get(terms)
        if child is None or child.has_ended():
            self._end_idle()
            command = worker_command(spec.python) if self._command is None else self._command
            worker = WorkerProcess(command, folder / "log.txt", environment)
            child = SharedChild(worker, spec.memory_limit_bytes, grace_s)
            self._children[terms] = child
        return child.open(spec, folder, time_limit_s)

    def _end_idle(self) -> None:
        """End the children that no trial uses: each holds the memory of its programs."""
        for terms, child in list(self._children.items()):
            if child.is_idle() or child.has_ended():
                child.end()
                del self._children[terms]

    def close(self) -> None:
        """End all children, and with them the trials that are still open."""
        with interrupts_deferred():
            for child in self._children.values():
                child.end()
            self._children.clear()


class SharedChild:
    """A worker with the programs of several trials.

    Parameters
    ----------
    worker
        The process.
    memory_limit_bytes
        Limit of the resident set of its process tree, from the first trial.
    grace_s
        Seconds that the process may take to exit at the end of all trials.

    Attributes
    ----------
    worker, memory_limit_bytes
        The same.
    """

    def __init__(
        self, worker: WorkerProcess, memory_limit_bytes: int | None, grace_s: float
    ) -> None:
        self.worker = worker
        self.memory_limit_bytes = memory_limit_bytes
        self._grace_s = grace_s
        self._lock = threading.RLock()
        self._answered = threading.Condition(self._lock)
        self._trials: dict[int, SharedTrial] = {}
        self._opened = 0
        self._unanswered: deque[int] = deque()
        self._log_begin = 0
        self._gone = False
        self._killed_for = ""
        self._garbled = ""
        read_events(worker.event_descriptor, self._take)

    def open(self, spec: TrialSpec, folder: Path, time_limit_s: float | None) -> SharedTrial:
        """Have the worker open a trial."""
        spec = replace(spec, memory_limit_bytes=self.memory_limit_bytes)
        spec_file = (folder / "spec.json").resolve()
        spec.write(spec_file)
        with self._lock:
            self._opened += 1
            trial = SharedTrial(self, self._opened, EventQueue(time_limit_s))
            self._trials[trial.number] = trial
            if self._gone:
                trial.events.put(None)
        self.send(Instruction(Command.OPEN, trial.number, spec_file))
        return trial

    def send(self, instruction: Instruction) -> bool:
        """Send an instruction; False if the worker no longer reads."""
        with self._lock:
            if self._gone:
                return False
            self._unanswered.append(instruction.trial)
            if self.worker.send(instruction):
                return True
            # The worker had died before, so it never worked for this.
            self._unanswered.pop()
            return False

    def has_ended(self) -> bool:
        """Whether the worker has died or exited."""
        return self._gone or self.worker.has_ended()

    def is_idle(self) -> bool:
        """Whether no trial is open."""
        with self._lock:
            return not self._trials

    def works_for(self) -> int | None:
        """Number of the trial that the worker works for, or worked for when it died."""
        with self._lock:
            return self._unanswered[0] if self._unanswered else None

    def stays_at_work(self, number: int) -> bool:
        """Whether the worker works for a trial, and does not end its work at this moment.

        That an instruction was served is reported an instant after its last event.
        """
        with self._answered:
            return not self._answered.wait_for(lambda: self.works_for() != number, SERVED_S)

    def kill(self, reason: str) -> None:
        """Kill the worker; the reason is the cause for all trials but the one at work."""
        with self._lock:
            if not self._gone:
                self._killed_for = self._killed_for or reason
        self.worker.kill()

    def leave(self, number: int) -> None:
        """Close a trial in the worker, unless it has ended."""
        with self._lock:
            if self._trials.pop(number, None) is not None:
                self.send(Instruction(Command.CLOSE, number))

    def explain_death(self, number: int, evidence: MemoryEvidence) -> tuple[Outcome, str]:
        """Outcome and reason for one of the trials, after the worker has died.

        Parameters
        ----------
        number
            Number of the trial.
        evidence
            What was observed of memory.
        """
        returncode = self.worker.wait()
        outcome, reason = outcome_of_death(returncode, self.worker.log, evidence, self._log_begin)
        if self._garbled:
            outcome, reason = Outcome.CRASHED, self._garbled
        working = self.works_for()
        if working == number:
            return outcome, reason
        cause = self._killed_for or reason
        while_ = "while no trial was at work" if working is None else "with another trial at work"
        return Outcome.INTERRUPTED, f"the process that it shared has ended {while_}: {cause}"

    def end(self) -> None:
        """End the worker, which gets time to exit if it is idle."""
        idle = self.works_for() is None
        self.send(Instruction(Command.EXIT))
        self.worker.end(self._grace_s if idle else KILL_S)

    def _take(self, event: Event | None) -> None:
        """Pass an event on to its trial; called in the thread that reads them."""
        with self._lock:
            if event is None:
                self._gone = True
                for living in self._trials.values():
                    living.events.put(None)
                return
            if event.kind is EventKind.GARBLED:
                # The end of the pipe follows, and with it the end of all trials.
                self._garbled = event.data["reason"]
                self.worker.kill()
                return
            if event.kind is EventKind.SERVED:
                # Whatever was sent first is answered first.
                with contextlib.suppress(IndexError):
                    self._unanswered.popleft()
                self._answered.notify_all()
                # What was printed for one trial explains nothing of the next.
                self._log_begin = self.worker.log.stat().st_size
                return
            trial = self._trials.get(event.trial)
            if trial is None:
                return
            if event.kind in (EventKind.ENDED, EventKind.FAILED):
                # The worker has closed it by itself.
                del self._trials[event.trial]
            trial.events.put(event)


class SharedTrial:
    """A trial in a child that it shares with others; a ``TrialChild``.

    Parameters
    ----------
    child
        The shared child.
    number
        Number of the trial in it.
    events
        Events of the trial.

    Attributes
    ----------
    number, events
        The same.
    """

    def __init__(self, child: SharedChild, number: int, events: EventQueue) -> None:
        self.number = number
        self.events = events
        self._child = child
        self._closed = False

    @property
    def memory_limit_bytes(self) -> int | None:
        """Limit of the resident set of the process tree."""
        return self._child.memory_limit_bytes

    @property
    def pid(self) -> int:
        """Process ID of the shared child."""
        return self._child.worker.pid

    @property
    def log(self) -> Path:
        """File of what the shared child prints for all of its trials."""
        return self._child.worker.log

    def send(self, command: Command) -> bool:
        """Send a command; False if the child no longer reads."""
        return self._child.send(Instruction(command, self.number))

    def has_ended(self) -> bool:
        """Whether the trial is closed or its child has ended."""
        return self._closed or self._child.has_ended()

    def explain_death(self, evidence: MemoryEvidence) -> tuple[Outcome, str]:
        """As for the only trial of a child if this one was at work, else ``interrupted``."""
        return self._child.explain_death(self.number, evidence)

    def kill(self, reason: str) -> None:
        """Kill the child if it works for this trial, else close this trial only."""
        self._closed = True
        if self._child.stays_at_work(self.number):
            self._child.kill(reason)
        else:
            self._child.leave(self.number)

    def end(self, *, patient: bool) -> list[Event]:
        """Close the trial and return the events that were not taken yet; the child lives on."""
        self._closed = True
        self._child.leave(self.number)
        return self.events.drain()

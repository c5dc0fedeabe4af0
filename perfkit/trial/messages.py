"""Messages between the parent of a trial and its child."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from perfkit.errors import NotWrittenError
from perfkit.files import reason_of
from perfkit.knobs.knob import CompilerOption
from perfkit.records.stages import LAST_STAGE, StageName

GUARD_OFF, GUARD_LIFT, GUARD_ZERO = "off", "lift", "zero"
"""Modes of the domain guard in a trial."""


SINGLE = 0
"""Number of the trial in a child that runs no other."""


class Command(StrEnum):
    """A command of the parent."""

    GO = "go"
    """Start. Only the child of observers that work inside it waits for this command."""
    PASS = "pass"
    """Run a timed pass."""
    TRACE = "trace"
    """Run a pass under JAX's profiler."""
    CHECK = "check"
    """Check the last answer."""
    FINISH = "finish"
    """Check the last answer if it is unchecked, and end the trial."""
    OPEN = "open"
    """Read the specification of a trial, and run it up to its first pass. A child that is started
    for one trial opens it without this command."""
    CLOSE = "close"
    """End the trial as it is, without a check."""
    EXIT = "exit"
    """Exit. A child that was started for one trial exits at the end of the trial."""


@dataclass(frozen=True)
class Instruction:
    """A command for a trial, one line on the child's standard input.

    Attributes
    ----------
    command
        The command.
    trial
        Number of the trial in this child.
    spec
        File of the trial's specification, for the command to open it.
    """

    command: Command
    trial: int = SINGLE
    spec: Path | None = None

    def line(self) -> str:
        """The line, without its end."""
        words = [str(self.command)]
        if self.trial != SINGLE:
            words.append(str(self.trial))
        if self.spec is not None:
            # A path may hold any character, even the end of a line.
            words.append(json.dumps(str(self.spec)))
        return " ".join(words)

    @classmethod
    def parse(cls, line: str) -> Instruction:
        """Parse a line that :meth:`line` wrote."""
        command, *rest = line.split(" ", 2)
        trial = int(rest[0]) if rest else SINGLE
        spec = Path(json.loads(rest[1])) if len(rest) > 1 else None
        return cls(Command(command), trial, spec)


class EventKind(StrEnum):
    """What an event of the child reports."""

    ENTER = "enter"
    """A stage begins."""
    STAGE = "stage"
    """A stage has ended; the data holds its clocks and counters."""
    NOTICES = "notices"
    """Sentences for the record, all so far."""
    COMPILED = "compiled"
    """The compiler's counts of memory and operations."""
    READY = "ready"
    """The first pass is done, or the last requested stage before it."""
    TRACED = "traced"
    """The traced pass is done; the data holds the seconds of each part."""
    GUARDED = "guarded"
    """What the domain guard lifted."""
    CHECKED = "checked"
    """Whether the answer is finite and how it agrees with the reference."""
    FAILED = "failed"
    """The trial cannot go on; the data holds outcome and reason."""
    ENDED = "ended"
    """The trial has done all that was requested."""
    SERVED = "served"
    """The child has followed one more instruction, or cannot; not an event of the trial."""
    GARBLED = "garbled"
    """Something else than an event arrived, after which no event can be trusted; the data holds
    the reason. The parent makes this event itself."""


OUT_OF_MEMORY_SIGNS = (
    "resource_exhausted",
    "out of memory",
    "bad_alloc",
    "cannot allocate memory",
    "memoryerror",
)
"""What XLA, C++, the C library and Python print when an allocation fails, in lower case."""


def reports_out_of_memory(text: str) -> bool:
    """Whether a message of the child reports a failed allocation."""
    lower = text.lower()
    return any(sign in lower for sign in OUT_OF_MEMORY_SIGNS)


@dataclass(frozen=True)
class TrialSpec:
    """The specification of a trial, which the child reads from a file when it starts.

    Attributes
    ----------
    workload
        Workload, as :meth:`perfkit.models.workload.Workload.as_dict` returns it.
    overrides
        Values of the model's own knobs.
    affinity
        CPUs that the child binds itself to before it starts a thread.
    reference
        File of compared quantities that the answer is compared with, or None.
    save_compared
        File to write this trial's compared quantities to, or None.
    output_folder
        Folder for the files of the prediction, or None.
    manifest
        File that lists the files of the prediction; None for the default in the output folder.
    overwrite
        Whether the prediction replaces files of the output folder that are of no prediction.
    compile_cache
        Folder of JAX's persistent compilation cache, or None for no cache.
    memory_limit_bytes
        Limit of the resident set. A program that needs more by the compiler's count is not run.
    guard
        Mode of the domain guard: ``off``; ``lift`` moves operands that left their domain by
        rounding back to its edge; ``zero`` sets differences that are rounding in either direction
        to zero.
    last_stage
        Stage after which the trial ends: ``trace``, ``compile``, or ``check`` for a whole trial.
    observers
        Names of the observers that work inside this child. With any, the child waits for ``go``,
        runs inside their contexts, and keeps the files of a traced pass.
    compiler_options
        Options of the compilation, as JAX's ``compile`` takes them.
    python
        Executable that runs the child; None for that of the parent.
    """

    workload: dict[str, Any]
    overrides: dict[str, str]
    affinity: tuple[int, ...]
    reference: str | None = None
    save_compared: str | None = None
    output_folder: str | None = None
    manifest: str | None = None
    overwrite: bool = False
    compile_cache: str | None = None
    memory_limit_bytes: int | None = None
    guard: str = GUARD_OFF
    last_stage: StageName = LAST_STAGE
    observers: tuple[str, ...] = ()
    compiler_options: dict[str, CompilerOption] = field(default_factory=dict)
    python: str | None = None

    def write(self, path: Path) -> None:
        """Write the specification to ``path``.

        Raises
        ------
        NotWrittenError
            The file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self)))
        except OSError as error:
            raise NotWrittenError(
                f"the specification of a trial {path} cannot be written ({reason_of(error)}); make "
                "room or name another folder, and run the command again"
            ) from error

    @classmethod
    def read(cls, path: Path) -> TrialSpec:
        """Read the specification that :meth:`write` wrote to ``path``."""
        data = json.loads(path.read_text())
        for name in ("affinity", "observers"):
            data[name] = tuple(data[name])
        data["last_stage"] = StageName(data["last_stage"])
        return cls(**data)


@dataclass(frozen=True)
class Event:
    """An event that the child reports.

    Attributes
    ----------
    kind
        What the event reports.
    data
        Data of the event, as JSON holds it; the keys follow from the kind.
    trial
        Number of the trial in its child.
    """

    kind: EventKind
    data: dict[str, Any] = field(default_factory=dict)
    trial: int = SINGLE


class Channel:
    """The child's end of the event pipe: one line of JSON per event.

    Parameters
    ----------
    descriptor
        File descriptor to write to; only channels of the same child use it.
    trial
        Number of the trial whose events are sent.
    """

    def __init__(self, descriptor: int, trial: int = SINGLE) -> None:
        self._descriptor = descriptor
        self._trial = trial

    def of_trial(self, trial: int) -> Channel:
        """A channel to the same parent for the events of another trial."""
        return Channel(self._descriptor, trial)

    def send(self, kind: EventKind, **data: Any) -> None:
        """Send an event to the parent; without a parent the event is lost, which is no error."""
        line = json.dumps({"kind": kind, "data": data, "trial": self._trial}) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except BrokenPipeError:
            return


QUOTED = 60
"""Most characters that the reason for a garbled event quotes."""


class GarbledError(ValueError):
    """A line of the event pipe is no event. The message is a reason for a record."""

    def __init__(self, line: str) -> None:
        quoted = repr(line.strip()[:QUOTED])
        super().__init__(f"the trial wrote to perfkit's pipe of events what is no event: {quoted}")


def parse_event(line: str) -> Event:
    """Parse one line of the event pipe.

    Raises
    ------
    GarbledError
        The line is no event.
    """
    try:
        read = json.loads(line)
        event = Event(EventKind(read["kind"]), read["data"], read.get("trial", SINGLE))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise GarbledError(line) from None
    if not isinstance(event.data, dict) or not isinstance(event.trial, int):
        raise GarbledError(line)
    return event

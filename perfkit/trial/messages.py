"""What passes between a trial's parent and its child."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perfkit.records.stages import LAST_STAGE, StageName

GUARD_OFF, GUARD_LIFT, GUARD_ZERO = "off", "lift", "zero"
"""What the domain guard does in a trial."""

GO = "go"
PASS = "pass"
TRACE = "trace"
CHECK = "check"
FINISH = "finish"
"""The words that the parent says on the child's standard input, one a line.

``go`` is waited for by a child that is observed, before anything else."""


OUT_OF_MEMORY_SIGNS = (
    "resource_exhausted",
    "out of memory",
    "bad_alloc",
    "cannot allocate memory",
    "memoryerror",
)
"""What XLA, C++, the C library and Python write where an allocation fails, in small letters."""


def says_out_of_memory(text: str) -> bool:
    """Whether a message of the child says that an allocation failed."""
    small = text.lower()
    return any(sign in small for sign in OUT_OF_MEMORY_SIGNS)


@dataclass(frozen=True)
class TrialSpec:
    """What the child is told before it starts.

    Parameters
    ----------
    workload
        As :meth:`perfkit.models.base.Workload.as_dict` gives it.
    overrides
        Values of the model's own knobs.
    affinity
        CPUs to bind to, before any thread is started.
    reference
        File of compared quantities to hold this trial's against, or None.
    save_compared
        File to leave this trial's compared quantities in, or None.
    output_folder
        Folder for the prediction's files, or None.
    compile_cache
        Folder of JAX's persistent compilation cache, or None for no cache.
    memory_limit_bytes
        Resident set above which the run is not started once the compiler's needs are known.
    guard
        ``off``, ``lift`` (operands that left their domain by rounding go back to its edge) or
        ``zero`` (differences that are rounding in either direction become zero).
    last_stage
        ``trace`` or ``compile`` for a trial that never runs what it compiles, ``check`` for all.
    observers
        Names of the observers of this child, if it is a further one: it then waits for ``go``,
        runs inside of what they put around it, and keeps the files of a traced pass.
    """

    workload: dict[str, Any]
    overrides: dict[str, str]
    affinity: tuple[int, ...]
    reference: str | None = None
    save_compared: str | None = None
    output_folder: str | None = None
    compile_cache: str | None = None
    memory_limit_bytes: int | None = None
    guard: str = GUARD_OFF
    last_stage: StageName = LAST_STAGE
    observers: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Leave the specification in ``path``."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> TrialSpec:
        """The specification that :meth:`write` left in ``path``."""
        data = json.loads(path.read_text())
        for name in ("affinity", "observers"):
            data[name] = tuple(data[name])
        data["last_stage"] = StageName(data["last_stage"])
        return cls(**data)


@dataclass(frozen=True)
class Event:
    """Something the child tells: a kind and its data."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


class Channel:
    """The child's end: one line of JSON an event, on a file descriptor of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, kind: str, **data: Any) -> None:
        """Tell the parent; a parent that is gone is no error."""
        line = json.dumps({"kind": kind, "data": data}) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except BrokenPipeError:
            return


def parse_event(line: str) -> Event:
    """The event of one line."""
    read = json.loads(line)
    return Event(read["kind"], read["data"])

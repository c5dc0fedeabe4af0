"""Trace of one pass, as ``jax.profiler.trace`` writes it: runs of operations and when they end."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.errors import PerfkitError

PASS_MARK = "perfkit pass"
"""Event around the traced pass. The child also reports its begin on the monotonic clock."""

END_PREFIX = "end: "
"""Prefix of the events with which the profiler reports the end of an operation."""

type Event = Mapping[str, Any]
"""One event in Chrome's trace format; ``ts`` and ``dur`` are microseconds."""


@dataclass(frozen=True)
class Operation:
    """One run of an HLO operation.

    Attributes
    ----------
    name
        Name of the HLO instruction.
    begin_us, duration_us
        Begin and duration in microseconds, on the clock of the trace.
    """

    name: str
    begin_us: float
    duration_us: float


@dataclass(frozen=True)
class Trace:
    """The runs of operations in one pass.

    Attributes
    ----------
    operations
        Runs of operations, in order of their begin.
    ends_us
        Reported ends by name of the operation, in order. An operation that hands its work to a
        thread pool ends later than its event.
    """

    operations: tuple[Operation, ...]
    ends_us: Mapping[str, Sequence[float]]

    def end_us(self, operation: Operation) -> float:
        """The end of a run: the end of its event or, if later, the first reported end."""
        plain_us = operation.begin_us + operation.duration_us
        reported = self.ends_us.get(operation.name, ())
        place = bisect_right(reported, operation.begin_us)
        return max(plain_us, reported[place]) if place < len(reported) else plain_us


def read_events(folder: Path) -> list[Event]:
    """All events of the trace in a folder.

    Raises
    ------
    PerfkitError
        The profiler left no trace.
    """
    return read_trace(trace_file(folder))


def read_trace(file: Path) -> list[Event]:
    """All events of a trace in Chrome's format."""
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        events: list[Event] = json.load(stream)["traceEvents"]
    return events


def trace_file(folder: Path) -> Path:
    """The trace in Chrome's format that the profiler left in a folder.

    Raises
    ------
    PerfkitError
        The profiler left no trace.
    """
    files = sorted(folder.rglob("*.trace.json.gz"))
    if not files:
        raise PerfkitError(f"the profiler left no trace in {folder}")
    return files[-1]


def trace_of(events: Iterable[Event]) -> Trace:
    """The runs of HLO operations among the events of a trace, and their ends."""
    operations: list[Operation] = []
    ends_us: dict[str, list[float]] = {}
    for event in events:
        if event.get("ph") != "X":
            continue
        name = event.get("name", "")
        if "hlo_op" in event.get("args", {}):
            operations.append(Operation(event["args"]["hlo_op"], event["ts"], event["dur"]))
        elif name.startswith(END_PREFIX):
            ends_us.setdefault(name.removeprefix(END_PREFIX), []).append(event["ts"])
    operations.sort(key=lambda operation: operation.begin_us)
    return Trace(tuple(operations), {name: sorted(times) for name, times in ends_us.items()})


def clock_offset_s(events: Iterable[Event], begin_s: float) -> float:
    """Seconds to add to a moment of the trace for the moment on the monotonic clock.

    Parameters
    ----------
    events
        Events of the trace.
    begin_s
        Begin of :data:`PASS_MARK` on the monotonic clock.

    Raises
    ------
    PerfkitError
        The trace does not hold the mark.
    """
    for event in events:
        if event.get("name") == PASS_MARK:
            return begin_s - float(event["ts"]) * 1e-6
    raise PerfkitError(f"the trace holds no event {PASS_MARK!r}, which marks the traced pass")

"""Time of each part of a model in one pass, from the XLA trace joined to the optimised HLO.

The trace is taken in a pass of its own. XLA:CPU runs the thunks of a program one after the other
(each on many threads), so that the time from the begin of one operation to the begin of the next
belongs to the first; gaps included, these spans add up to the pass.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.errors import PerfkitError
from perfkit.models.base import REST

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = .*?op_name=\"(?P<op>[^\"]*)\"")


@dataclass(frozen=True)
class Operation:
    """One run of an HLO operation; microseconds on the trace's clock."""

    name: str
    begin_us: float
    duration_us: float


def op_names(hlo_text: str) -> dict[str, str]:
    """Instruction name to ``op_name`` metadata, from the text of an optimised HLO module."""
    matches = (_INSTRUCTION.match(line) for line in hlo_text.splitlines())
    return {match["name"]: match["op"] for match in matches if match}


def read_operations(trace_folder: Path) -> list[Operation]:
    """The HLO operations that ``jax.profiler.trace`` left in a folder.

    Raises
    ------
    PerfkitError
        The profiler left no trace.
    """
    with gzip.open(trace_file(trace_folder), "rt", encoding="utf-8") as stream:
        return operations_of(json.load(stream)["traceEvents"])


def trace_file(trace_folder: Path) -> Path:
    """The trace that the profiler left in a folder, in Chrome's format.

    Raises
    ------
    PerfkitError
        It left none.
    """
    files = sorted(trace_folder.rglob("*.trace.json.gz"))
    if not files:
        raise PerfkitError(f"the profiler left no trace in {trace_folder}")
    return files[-1]


def operations_of(events: Iterable[Mapping[str, Any]]) -> list[Operation]:
    """The HLO operations among the events of a trace."""
    return [
        Operation(event["args"]["hlo_op"], event["ts"], event["dur"])
        for event in events
        if event.get("ph") == "X" and "hlo_op" in event.get("args", {})
    ]


def part_seconds(
    operations: Iterable[Operation],
    names: Mapping[str, str],
    part_of: Callable[[str], str | None],
) -> dict[str, float]:
    """Seconds of each part between the first operation's begin and the last one's end.

    Parameters
    ----------
    operations
        Of one pass, in any order.
    names
        Operation to ``op_name``, as :func:`op_names` gives it.
    part_of
        The part of an ``op_name``; None where it cannot be told, which then counts to the part
        that ran before (copies and loop counters that the compiler put in have no name).
    """
    ordered = sorted(operations, key=lambda operation: operation.begin_us)
    seconds: dict[str, float] = defaultdict(float)
    part = REST
    for operation, following in zip(ordered, [*ordered, None][1:], strict=True):
        # A loop or call spans the operations inside it, which are in the list themselves.
        if not operation.name.startswith(("while", "call", "conditional")):
            part = part_of(names.get(operation.name, "")) or part
        end_us = operation.begin_us + operation.duration_us
        until_us = end_us if following is None else following.begin_us
        seconds[part] += (until_us - operation.begin_us) * 1e-6
    return dict(seconds)


def scaled(seconds: Mapping[str, float], total_s: float) -> dict[str, float]:
    """The same shares of ``total_s``: tracing itself costs time, which is no part of the model."""
    whole = sum(seconds.values())
    return {name: each / whole * total_s for name, each in seconds.items()} if whole else {}

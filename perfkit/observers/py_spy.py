"""py-spy: time by Python function (import, featurisation, tracing, lowering).

py-spy runs in its non-blocking mode: to stop a process that has one thread per core would ruin the
profile and the run. Idle threads are sampled too, as a thread that waits for XLA is idle.
"""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from perfkit.observers.observer import Child, Finding, ObservedRun, Observer, Process
from perfkit.observers.tools import Tool, find_tool, ptrace_refusal

RATE = 50
"""Samples per second; reading all stacks of the process takes about a millisecond."""

ATTACH_S = 10.0
"""Largest time to wait for py-spy to attach, in seconds."""

FORMATS = {"speedscope": "py-spy.speedscope.json", "flamegraph": "py-spy.svg"}
KEPT_FUNCTIONS = 15
"""Largest number of functions in a record."""


class PythonResult(BaseModel):
    """Time of the main thread by Python function.

    Attributes
    ----------
    seconds
        Sampled seconds.
    innermost
        Seconds with each function innermost on the stack, largest first.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    innermost: dict[str, float]


class PySpy(Observer):
    """Attaches py-spy to the child, once per file format, before the first stage.

    Parameters
    ----------
    find
        Finds a command by its name, see :func:`~perfkit.observers.tools.find_tool`.
    """

    name = "py-spy"
    process = Process.SHARED
    summary = "flame graph of the Python code in speedscope and SVG (non-blocking)"

    def __init__(self, find: Callable[[str], str | None] = find_tool) -> None:
        self._find = find
        self._tools: dict[str, Tool] = {}
        self._failures: dict[str, str] = {}
        self._child: Child | None = None

    def unavailable(self) -> str | None:
        """Reason if py-spy is not installed or may not look into other processes."""
        if self._find("py-spy") is None:
            return "py-spy is not installed: pip install py-spy"
        return ptrace_refusal()

    def started(self, child: Child) -> None:
        """Attach py-spy; returns when it samples or has failed."""
        self._child = child
        program = self._find("py-spy")
        if program is None:
            return
        for kind, file in FORMATS.items():
            command = [program, "record", "--nonblocking", "--idle", "--threads"]
            command += ["--rate", str(RATE), "--pid", str(child.pid), "--format", kind]
            command += ["--output", str(child.folder / file)]
            self._tools[kind] = Tool(command, child.folder / f"py-spy-{kind}.log")
        deadline_s = time.monotonic() + ATTACH_S
        while time.monotonic() < deadline_s and not all(
            tool.has_printed("Sampling") or not tool.running() for tool in self._tools.values()
        ):
            time.sleep(0.02)

    def ended(self) -> None:
        """End py-spy, which then writes its files."""
        self._failures = {
            kind: failure
            for kind, tool in self._tools.items()
            if (failure := tool.wait(signal.SIGINT)) is not None
        }

    def results(self, run: ObservedRun) -> Finding:
        """The files, and the innermost functions of the main thread."""
        if self._child is None:
            return Finding(missing="the child was not started")
        written = {kind: self._child.folder / file for kind, file in FORMATS.items()}
        files = {f"py-spy {kind}": path for kind, path in written.items() if path.exists()}
        missing = "; ".join(f"no {kind}: {failure}" for kind, failure in self._failures.items())
        speedscope = written["speedscope"]
        if not speedscope.exists():
            return Finding(files=files, missing=missing or "py-spy wrote no file")
        document = without_nulls(json.loads(speedscope.read_text()))
        speedscope.write_text(json.dumps(document))
        found = innermost_seconds(document)
        return Finding(found.model_dump(), files, missing)


def without_nulls(value: JsonValue) -> Any:
    """Remove members of objects that are null.

    py-spy 0.4.3 writes null for absent values, which the schema of speedscope does not allow.
    """
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def innermost_seconds(document: Mapping[str, Any]) -> PythonResult:
    """Seconds by innermost function of the thread with most samples.

    Parameters
    ----------
    document
        Profile in the file format of speedscope, with profiles of type ``sampled`` in seconds.
    """
    frames = document["shared"]["frames"]
    profiles = [profile for profile in document["profiles"] if profile["type"] == "sampled"]
    main = max(profiles, key=lambda profile: sum(profile["weights"]), default=None)
    seconds: dict[str, float] = defaultdict(float)
    if main is not None:
        for stack, weight in zip(main["samples"], main["weights"], strict=True):
            if stack:
                frame = frames[stack[-1]]
                name = f"{frame['name']} ({Path(frame.get('file') or '?').name})"
                seconds[name] += weight
    ranked = sorted(seconds.items(), key=lambda item: -item[1])
    return PythonResult(
        seconds=round(sum(seconds.values()), 3),
        innermost={name: round(value, 3) for name, value in ranked[:KEPT_FUNCTIONS]},
    )

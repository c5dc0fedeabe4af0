"""py-spy: where Python spends its time (import, featurisation, tracing, lowering).

Always non-blocking: stopping a process that has one thread a core ruins the profile and the run.
Threads that wait for XLA hold Python frames but are idle, so idle threads are sampled too.
"""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from perfkit.observers.observer import Child, Finding, Observer, Place, Seen
from perfkit.observers.tools import Tool, find_tool, ptrace_refusal

RATE = 50
"""Samples a second: reading all stacks of the process takes about a millisecond."""

ATTACH_S = 10.0
FORMATS = {"speedscope": "py-spy.speedscope.json", "flamegraph": "py-spy.svg"}
KEPT_FUNCTIONS = 15


class PythonSeen(BaseModel):
    """Seconds that the main thread had each function innermost, largest first."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    innermost: dict[str, float]


class PySpy(Observer):
    """Attaches py-spy to the child, once a format, before the child does anything."""

    name = "py-spy"
    place = Place.BESIDE
    summary = "Python-side flame graph in speedscope and SVG (non-blocking)"

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._child: Child | None = None

    def unavailable(self) -> str | None:
        """Missing where py-spy is not installed or may not look."""
        if find_tool("py-spy") is None:
            return "py-spy is not installed; install perfkit[profile]"
        return ptrace_refusal()

    def started(self, child: Child) -> None:
        """Attach; returns once it samples, or has failed."""
        self._child = child
        program = find_tool("py-spy")
        if program is None:
            return
        for kind, file in FORMATS.items():
            command = [program, "record", "--nonblocking", "--idle", "--threads"]
            command += ["--rate", str(RATE), "--pid", str(child.pid), "--format", kind]
            command += ["--output", str(child.folder / file)]
            self._tools[kind] = Tool(command, child.folder / f"py-spy-{kind}.log")
        deadline_s = time.monotonic() + ATTACH_S
        while time.monotonic() < deadline_s and not all(
            tool.says("Sampling") or not tool.running() for tool in self._tools.values()
        ):
            time.sleep(0.02)

    def ended(self) -> None:
        """Nothing is left to sample: have the files written."""
        self._failures = {
            kind: failure
            for kind, tool in self._tools.items()
            if (failure := tool.wait(signal.SIGINT)) is not None
        }

    def results(self, seen: Seen) -> Finding:
        """The two files, and the innermost functions of the main thread."""
        if self._child is None:
            return Finding(missing="the child was not started")
        written = {kind: self._child.folder / file for kind, file in FORMATS.items()}
        files = {f"py-spy {kind}": path for kind, path in written.items() if path.exists()}
        missing = "; ".join(f"no {kind}: {words}" for kind, words in self._failures.items())
        speedscope = written["speedscope"]
        if not speedscope.exists():
            return Finding(files=files, missing=missing or "py-spy wrote nothing")
        document = without_nulls(json.loads(speedscope.read_text()))
        speedscope.write_text(json.dumps(document))
        found = innermost_seconds(document)
        return Finding(found.model_dump(), files, missing)


def without_nulls(value: JsonValue) -> Any:
    """The same without members that are null.

    py-spy 0.4.3 writes null where it has nothing to say, which speedscope's schema does not allow.
    """
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def innermost_seconds(document: Mapping[str, Any]) -> PythonSeen:
    """Seconds by innermost function of the thread that was sampled longest.

    Parameters
    ----------
    document
        Speedscope's file format with profiles of type ``sampled`` in seconds.
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
    return PythonSeen(
        seconds=round(sum(seconds.values()), 3),
        innermost={name: round(value, 3) for name, value in ranked[:KEPT_FUNCTIONS]},
    )

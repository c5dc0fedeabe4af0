"""perf: counters and symbols of one pass, where the kernel and the hardware allow it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, ExtraPass, Finding, ObservedRun, Observer, Process
from perfkit.observers.tools import Tool, find_tool

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
EVENTS = (
    "task-clock",
    "page-faults",
    "context-switches",
    "instructions",
    "cycles",
    "cache-references",
    "cache-misses",
    "dTLB-loads",
    "dTLB-load-misses",
)
SAMPLE_RATE = 199
"""Samples per second and CPU; a prime, so that it does not beat with the tick of the scheduler."""

KEPT_SYMBOLS = 20
"""Largest number of symbols in a record."""

SETTLE_S = 0.3
"""Seconds that the tools need to open their counters."""

UNCOUNTED = ("<not supported>", "<not counted>")
SYMBOL = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[.\]\s+(.*?)(?:\s+-\s+-)?\s*$")


class PerfResult(BaseModel):
    """Counters and symbols of one pass.

    Attributes
    ----------
    counts
        Counts by event.
    symbols
        Shares of the samples by ``symbol [library]``, between 0 and 1.
    """

    model_config = ConfigDict(frozen=True)

    counts: dict[str, float]
    symbols: dict[str, float]


class PerfEvents(Observer):
    """Runs ``perf stat`` and ``perf record`` on the child for one pass.

    Parameters
    ----------
    find
        Finds a command by its name, see :func:`~perfkit.observers.tools.find_tool`.
    paranoid
        File with the restrictions of the kernel on performance events.
    """

    name = "perf"
    process = Process.SHARED
    summary = "instructions, cycles, cache and TLB misses, symbols, where the kernel allows it"
    extra_pass = ExtraPass.PLAIN

    def __init__(
        self, find: Callable[[str], str | None] = find_tool, paranoid: Path = PARANOID
    ) -> None:
        self._find, self._paranoid = find, paranoid
        self._child: Child | None = None
        self._stat: Tool | None = None
        self._record: Tool | None = None
        self._failures: list[str] = []

    def unavailable(self) -> str | None:
        """Reason if perf is not installed or may not count any event."""
        program = self._find("perf")
        if program is None:
            return "perf is not installed"
        completed = subprocess.run(
            [program, "stat", "-x", ",", "-e", "page-faults", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode == 0 and not any(word in completed.stderr for word in UNCOUNTED):
            return None
        try:
            level = self._paranoid.read_text().strip()
            reason = f"kernel.perf_event_paranoid is {level}; 1 allows it"
        except OSError:
            reason = "this kernel has no performance events"
        return f"perf may not count events here ({reason})"

    def started(self, child: Child) -> None:
        """Keep the child for the extra pass."""
        self._child = child

    def pass_begins(self) -> None:
        """Attach both tools to the child."""
        program, child = self._find("perf"), self._child
        if program is None or child is None:
            return
        pid, folder = str(child.pid), child.folder
        counts = [program, "stat", "-x", ",", "-e", ",".join(EVENTS), "-p", pid]
        counts += ["-o", str(folder / "perf-stat.csv")]
        self._stat = Tool(counts, folder / "perf-stat.log")
        samples = [program, "record", "-q", "-F", str(SAMPLE_RATE), "-p", pid]
        samples += ["-o", str(folder / "perf.data")]
        self._record = Tool(samples, folder / "perf-record.log")
        time.sleep(SETTLE_S)

    def pass_ended(self) -> None:
        """Stop both tools and wait until they have written their files."""
        for name, tool in (("perf stat", self._stat), ("perf record", self._record)):
            failure = None if tool is None else tool.wait(signal.SIGINT)
            if failure is not None:
                self._failures.append(f"{name}: {failure}")

    def results(self, run: ObservedRun) -> Finding:
        """Counts and symbols; one line names the events that the hardware cannot count."""
        if self._child is None or self._stat is None:
            return Finding(missing="the child ended before the pass that perf observes")
        folder = self._child.folder
        missing = list(self._failures)
        counts: dict[str, float] = {}
        stat, data = folder / "perf-stat.csv", folder / "perf.data"
        if stat.exists():
            counts, uncounted = parse_counts(stat.read_text())
            if uncounted:
                missing.append(f"not counted on this machine: {', '.join(uncounted)}")
        files = {}
        symbols: dict[str, float] = {}
        if data.exists() and data.stat().st_size:
            symbols = _symbols(self._find("perf") or "perf", data)
            files["perf samples"] = data
        return Finding(
            PerfResult(counts=counts, symbols=symbols).model_dump(), files, "; ".join(missing)
        )


def parse_counts(text: str) -> tuple[dict[str, float], list[str]]:
    """Counts by event, and the events that were not counted, from ``perf stat -x ,``."""
    counts: dict[str, float] = {}
    uncounted = []
    for line in text.splitlines():
        fields = line.split(",")
        if line.startswith("#") or len(fields) < 3:
            continue
        event = fields[2].partition(":")[0]
        if fields[0] in UNCOUNTED:
            uncounted.append(event)
        else:
            counts[event] = float(fields[0])
    return counts, uncounted


def parse_symbols(text: str) -> dict[str, float]:
    """Shares of the samples by ``symbol [library]``, from ``perf report --stdio``."""
    matches = (SYMBOL.match(line) for line in text.splitlines())
    found = {
        f"{match[3]} [{match[2]}]": round(float(match[1]) / 100, 4) for match in matches if match
    }
    return dict(list(found.items())[:KEPT_SYMBOLS])


def _symbols(program: str, data: Path) -> dict[str, float]:
    command = [program, "report", "--stdio", "-q", "-i", str(data)]
    command += ["--sort", "dso,symbol", "--percent-limit", "0.5"]
    completed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PERF_CONFIG": os.devnull},
        check=False,
    )
    return parse_symbols(completed.stdout)

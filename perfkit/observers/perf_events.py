"""perf: counters and symbols of one pass, where kernel and hardware allow it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, ExtraPass, Finding, Observer, Place, Seen
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
"""Samples a second and CPU; a prime, so that it does not beat with the scheduler's tick."""

KEPT_SYMBOLS = 20
SETTLE_S = 0.3
"""How long the tools take to open their counters."""

UNCOUNTED = ("<not supported>", "<not counted>")
SYMBOL = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[.\]\s+(.*?)(?:\s+-\s+-)?\s*$")


class PerfSeen(BaseModel):
    """Counts of one pass by event, and the share of samples by ``symbol [library]``."""

    model_config = ConfigDict(frozen=True)

    counts: dict[str, float]
    symbols: dict[str, float]


class PerfEvents(Observer):
    """Runs ``perf stat`` and ``perf record`` on the child for one pass."""

    name = "perf"
    place = Place.BESIDE
    summary = "instructions, cycles, cache and TLB misses, symbols, where the kernel allows it"
    extra_pass = ExtraPass.PLAIN

    def __init__(self) -> None:
        self._child: Child | None = None
        self._stat: Tool | None = None
        self._record: Tool | None = None
        self._failures: list[str] = []

    def unavailable(self) -> str | None:
        """Missing where perf is not installed or may count nothing at all."""
        program = find_tool("perf")
        if program is None:
            return "perf is not installed"
        asked = subprocess.run(
            [program, "stat", "-x", ",", "-e", "page-faults", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0 and not any(word in asked.stderr for word in UNCOUNTED):
            return None
        try:
            told = f"kernel.perf_event_paranoid is {PARANOID.read_text().strip()}"
        except OSError:
            told = "this kernel has no perf events"
        return f"perf may not count here ({told})"

    def started(self, child: Child) -> None:
        """Remember whom to look at."""
        self._child = child

    def pass_begins(self) -> None:
        """Attach both tools."""
        program, child = find_tool("perf"), self._child
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
        """End both."""
        for name, tool in (("perf stat", self._stat), ("perf record", self._record)):
            failure = None if tool is None else tool.wait(signal.SIGINT)
            if failure is not None:
                self._failures.append(f"{name}: {failure}")

    def results(self, seen: Seen) -> Finding:
        """Counts and symbols; events that the hardware does not count are named in one line."""
        if self._child is None or self._stat is None:
            return Finding(missing="the child ended before the pass that perf looks at")
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
            symbols = _symbols(data)
            files["perf samples"] = data
        return Finding(
            PerfSeen(counts=counts, symbols=symbols).model_dump(), files, "; ".join(missing)
        )


def parse_counts(text: str) -> tuple[dict[str, float], list[str]]:
    """Counts by event, and the events without one, from ``perf stat -x ,``."""
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
    """Share of the samples by ``symbol [library]``, from ``perf report --stdio``."""
    matches = (SYMBOL.match(line) for line in text.splitlines())
    found = {
        f"{match[3]} [{match[2]}]": round(float(match[1]) / 100, 4) for match in matches if match
    }
    return dict(list(found.items())[:KEPT_SYMBOLS])


def _symbols(data: Path) -> dict[str, float]:
    command = [find_tool("perf") or "perf", "report", "--stdio", "-q", "-i", str(data)]
    command += ["--sort", "dso,symbol", "--percent-limit", "0.5"]
    asked = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PERF_CONFIG": os.devnull},
        check=False,
    )
    return parse_symbols(asked.stdout)

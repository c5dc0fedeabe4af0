"""memray: the heap at its peak with Python and native frames, from a child of its own.

The tracked child compiles several times slower, so its times are not used. The aggregated file
format has one entry per place of allocation instead of one per allocation.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, Finding, ObservedRun, Observer, Process

CAPTURE = "memray.bin"
READING_TIMEOUT_S = 300.0


class Holder(BaseModel):
    """A place in the code that held memory at the peak.

    Attributes
    ----------
    where
        Function and position.
    bytes
        Bytes that it held.
    allocations
        Number of allocations.
    """

    model_config = ConfigDict(frozen=True)

    where: str
    bytes: int
    allocations: int


class HeapResult(BaseModel):
    """The heap at its peak.

    Attributes
    ----------
    peak_bytes
        Size of the heap.
    allocations
        Number of allocations over the life of the process.
    file_bytes
        Size of the capture file.
    holders
        Places that held memory, largest first.
    """

    model_config = ConfigDict(frozen=True)

    peak_bytes: int
    allocations: int
    file_bytes: int
    holders: list[Holder]


class MemrayHeap(Observer):
    """Tracks the heap of a child of its own and reduces the capture to the peak.

    Parameters
    ----------
    find
        Finds an importable module by its name; None if there is none.
    """

    name = "memray"
    process = Process.OWN
    summary = "peak heap and its holders (Python and native frames), flame graph and table"

    def __init__(self, find: Callable[[str], object | None] = find_spec) -> None:
        self._find = find
        self._child: Child | None = None

    def unavailable(self) -> str | None:
        """Reason if memray is not installed."""
        if self._find("memray") is None:
            return "memray is not installed: pip install memray"
        return None

    def around(self, folder: Path) -> AbstractContextManager[object]:
        """Track all allocations of the child from here on."""
        import memray

        tracker: AbstractContextManager[object] = memray.Tracker(
            folder / CAPTURE,
            native_traces=True,
            file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS,
        )
        return tracker

    def started(self, child: Child) -> None:
        """Keep the child, whose folder receives the capture."""
        self._child = child

    def results(self, run: ObservedRun) -> Finding:
        """The peak, its holders, and memray's flame graph and table."""
        if self._child is None:
            return Finding(missing="the child was not started")
        capture = self._child.folder / CAPTURE
        if not capture.exists():
            return Finding(missing="the child ended before memray wrote its capture")
        # In a process of its own: the lookup of frames takes gigabytes, which only its end frees.
        try:
            completed = subprocess.run(
                [sys.executable, "-m", "perfkit.observers.memray_reading", str(capture)],
                capture_output=True,
                text=True,
                timeout=READING_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            missing = f"memray's capture could not be read within {READING_TIMEOUT_S:g} s"
            return Finding(files={"memray capture": capture}, missing=missing)
        if completed.returncode != 0:
            reason = (completed.stderr.strip().splitlines() or ["its reader died"])[-1]
            return Finding(missing=f"memray cannot read its capture: {reason}")
        found = HeapResult.model_validate_json(completed.stdout.splitlines()[-1])
        pages = {f"memray {page.stem.removeprefix('memray-')}": page for page in pages_of(capture)}
        return Finding(found.model_dump(), {"memray capture": capture, **pages})


def pages_of(capture: Path) -> tuple[Path, Path]:
    """Paths of the flame graph and the table of a capture."""
    flamegraph, table = (
        capture.with_name(f"memray-{name}.html") for name in ("flamegraph", "table")
    )
    return flamegraph, table

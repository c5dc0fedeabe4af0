"""memray: who holds the heap at its peak, with native frames, from a child of its own.

The tracked child compiles several times slower, so nothing of it is ever timed. The aggregated
file format keeps one entry a place of allocation instead of one an allocation.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from perfkit.observers.observer import Child, Finding, Observer, Place, Seen

CAPTURE = "memray.bin"
READING_TIMEOUT_S = 300.0


class Holder(BaseModel):
    """Who held memory at the peak: its place in the code, bytes, and number of allocations."""

    model_config = ConfigDict(frozen=True)

    where: str
    bytes: int
    allocations: int


class HeapSeen(BaseModel):
    """The heap at its peak."""

    model_config = ConfigDict(frozen=True)

    peak_bytes: int
    allocations: int
    """Over the whole life."""
    file_bytes: int
    """Size of the capture file."""
    holders: list[Holder]


class MemrayHeap(Observer):
    """Tracks the heap of a child of its own and reduces the file to its peak."""

    name = "memray"
    place = Place.ALONE
    summary = "peak heap and who held it (Python and native frames), flame graph and table"

    def __init__(self) -> None:
        self._child: Child | None = None

    def unavailable(self) -> str | None:
        """Missing where memray is not installed."""
        if find_spec("memray") is None:
            return "memray is not installed; install perfkit[profile]"
        return None

    def around(self, folder: Path) -> AbstractContextManager[object]:
        """Track everything that the child does from here on."""
        import memray

        tracker: AbstractContextManager[object] = memray.Tracker(
            folder / CAPTURE,
            native_traces=True,
            file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS,
        )
        return tracker

    def started(self, child: Child) -> None:
        """Remember where the child leaves its file."""
        self._child = child

    def results(self, seen: Seen) -> Finding:
        """Peak, holders and memray's own two pages."""
        if self._child is None:
            return Finding(missing="the child was not started")
        capture = self._child.folder / CAPTURE
        if not capture.exists():
            return Finding(missing="the child ended before memray wrote its file")
        # A process of its own: looking up frames takes gigabytes, which only its end gives back.
        try:
            asked = subprocess.run(
                [sys.executable, "-m", "perfkit.observers.memray_reading", str(capture)],
                capture_output=True,
                text=True,
                timeout=READING_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            missing = f"memray's file was not read within {READING_TIMEOUT_S:g} s"
            return Finding(files={"memray capture": capture}, missing=missing)
        if asked.returncode != 0:
            words = asked.stderr.strip().splitlines()
            return Finding(missing=f"memray cannot read its file: {words[-1] if words else 'died'}")
        found = HeapSeen.model_validate_json(asked.stdout.splitlines()[-1])
        pages = {f"memray {page.stem.removeprefix('memray-')}": page for page in pages_of(capture)}
        return Finding(found.model_dump(), {"memray capture": capture, **pages})


def pages_of(capture: Path) -> tuple[Path, Path]:
    """Where memray's flame graph and its table of a capture are left."""
    flamegraph, table = (
        capture.with_name(f"memray-{name}.html") for name in ("flamegraph", "table")
    )
    return flamegraph, table

"""What the guard does in one process, written down as it happens.

Counts go to memory that is mapped from a file, so that they outlive a process that a signal
kills; what is counted goes to a text file, a line when it is first seen. Nothing here imports JAX.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import os
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NUMBER = struct.Struct("<q")
_CALLS, _COUNTED, _ENDED, _HEADER = 0, 1, 2, 3
_ROWS_AT_ONCE = 1024
"""By how many rows of two counts the file grows: 16 KiB."""


class Journal:
    """The journal of the process that creates it; a process that it forks needs its own."""

    def __init__(self, folder: Path) -> None:
        """Create the files.

        Parameters
        ----------
        folder
            An existing folder.

        Raises
        ------
        OSError
            The files cannot be created, for example because the folder is gone.
        """
        stem = folder / f"guard-{os.getpid()}-{time.monotonic_ns()}"
        self._lines = stem.with_suffix(".jsonl").open("a", encoding="utf-8")
        self._file = stem.with_suffix(".counts").open("w+b")
        self._rows = 0
        self._grow()
        self._line({"pid": os.getpid(), "command": sys.orig_argv})

    def new_row(self, site: Mapping[str, str | int]) -> int:
        """Begin to count at a place; returns its row."""
        row, self._rows = self._rows, self._rows + 1
        if self._size(self._rows) > len(self._memory):
            self._grow()
        self._line({"site": dict(site)})
        return row

    def unguarded(self, name: str, why: str) -> None:
        """Note what runs without guard."""
        self._line({"unguarded": name, "why": why})

    def uncounted(self, sentence: str) -> None:
        """Note what is guarded and cannot be counted."""
        self._line({"uncounted": sentence})

    def called(self) -> None:
        """Note a guarded call, whose counts may not be known yet."""
        self._add(_CALLS, 1)

    def counted(self) -> None:
        """Note that the counts of a call are in."""
        self._add(_COUNTED, 1)

    def add(self, row: int, lifted: int, zeroed: int) -> None:
        """Add to the counts of a row."""
        self._add(_HEADER + 2 * row, lifted)
        self._add(_HEADER + 2 * row + 1, zeroed)

    def end(self) -> None:
        """Note that the process ends by itself."""
        self._add(_ENDED, 1)

    def _add(self, place: int, number: int) -> None:
        at = place * _NUMBER.size
        (before,) = _NUMBER.unpack_from(self._memory, at)
        _NUMBER.pack_into(self._memory, at, before + number)

    def _line(self, entry: Mapping[str, Any]) -> None:
        try:
            self._lines.write(json.dumps(entry) + "\n")
            self._lines.flush()
        except OSError:
            # A full disk must not end the program that is guarded.
            return

    def _size(self, rows: int) -> int:
        return _NUMBER.size * (_HEADER + 2 * rows)

    def _grow(self) -> None:
        size = self._size(self._rows + _ROWS_AT_ONCE)
        # Reserved, because writing to mapped memory that the disk has no room for kills.
        os.posix_fallocate(self._file.fileno(), 0, size)
        self._memory = mmap.mmap(self._file.fileno(), size)


@dataclasses.dataclass(frozen=True)
class ProcessReport:
    """What one process left.

    Attributes
    ----------
    pid, command
        The process.
    calls
        How many guarded calls it made.
    counted
        Of how many of them the counts are known.
    ended
        Whether it ended by itself: not by a signal, and not still running.
    sites
        Every guarded equation with its counts, as plain data.
    unguarded
        What ran without guard -> why.
    uncounted
        A sentence for each use of a guarded function that cannot be counted.
    """

    pid: int
    command: str
    calls: int
    counted: int
    ended: bool
    sites: tuple[dict[str, Any], ...]
    unguarded: Mapping[str, str]
    uncounted: tuple[str, ...]


def read_journals(folder: Path) -> list[ProcessReport]:
    """Read what all guarded processes left in a folder, in the order of their numbers."""
    return [
        report
        for path in sorted(folder.glob("guard-*.jsonl"))
        if (report := _read(path)) is not None
    ]


def _read(path: Path) -> ProcessReport | None:
    """What one process left; None if it was killed while it began to write."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    counts_file = path.with_suffix(".counts")
    memory = counts_file.read_bytes() if counts_file.exists() else b""
    if not entries or len(memory) < _NUMBER.size * _HEADER:
        return None
    numbers = [number for (number,) in _NUMBER.iter_unpack(memory)]
    sites = [entry["site"] for entry in entries if "site" in entry]
    return ProcessReport(
        pid=entries[0]["pid"],
        command=" ".join(entries[0]["command"]),
        calls=numbers[_CALLS],
        counted=numbers[_COUNTED],
        ended=numbers[_ENDED] > 0,
        sites=tuple(
            {
                **site,
                "lifted": numbers[_HEADER + 2 * row],
                "zeroed": numbers[_HEADER + 2 * row + 1],
            }
            for row, site in enumerate(sites)
        ),
        unguarded={entry["unguarded"]: entry["why"] for entry in entries if "unguarded" in entry},
        uncounted=tuple(entry["uncounted"] for entry in entries if "uncounted" in entry),
    )

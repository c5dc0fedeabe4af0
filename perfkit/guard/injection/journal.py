"""The journal of one guarded process: what its guard does, written as it happens.

A journal has two files. Counts go to memory that is mapped from ``guard-*.counts``, so that they
survive a process that a signal kills. The guarded equations go to ``guard-*.jsonl``, one line
when an equation is first seen. This module does not import JAX.
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
"""Number of rows, of two counts each, by which the file grows: 16 KiB."""


class Journal:
    """The journal of the process that creates it; a forked process needs a journal of its own."""

    def __init__(self, folder: Path) -> None:
        """Create the files.

        Parameters
        ----------
        folder
            An existing folder.

        Raises
        ------
        OSError
            The files cannot be created, for example because the folder no longer exists.
        """
        stem = folder / f"guard-{os.getpid()}-{time.monotonic_ns()}"
        self._lines = stem.with_suffix(".jsonl").open("a", encoding="utf-8")
        self._file = stem.with_suffix(".counts").open("w+b")
        self._rows = 0
        self._grow()
        self._line({"pid": os.getpid(), "command": sys.orig_argv})

    def new_row(self, site: Mapping[str, str | int]) -> int:
        """Add a row of counts for a guarded equation; return the index of the row."""
        row, self._rows = self._rows, self._rows + 1
        if self._size(self._rows) > len(self._memory):
            self._grow()
        self._line({"site": dict(site)})
        return row

    def unguarded(self, name: str, why: str) -> None:
        """Note that a function runs without the guard, and why."""
        self._line({"unguarded": name, "why": why})

    def left_alone(self, name: str) -> None:
        """Note that a function was left unchanged, as nothing in it can need lifting."""
        self._line({"left_alone": name})

    def uncounted(self, sentence: str) -> None:
        """Note, in one sentence, a use of a guarded function that cannot be counted."""
        self._line({"uncounted": sentence})

    def called(self) -> None:
        """Note a guarded call, whose counts may not be known yet."""
        self._add(_CALLS, 1)

    def counted(self) -> None:
        """Note that the counts of a call were added."""
        self._add(_COUNTED, 1)

    def add(self, row: int, lifted: int, zeroed: int) -> None:
        """Add to the counts of a row."""
        self._add(_HEADER + 2 * row, lifted)
        self._add(_HEADER + 2 * row + 1, zeroed)

    def end(self) -> None:
        """Note that the process ends by itself."""
        self._add(_ENDED, 1)

    def _add(self, position: int, number: int) -> None:
        at = position * _NUMBER.size
        (before,) = _NUMBER.unpack_from(self._memory, at)
        _NUMBER.pack_into(self._memory, at, before + number)

    def _line(self, entry: Mapping[str, Any]) -> None:
        try:
            self._lines.write(json.dumps(entry) + "\n")
            self._lines.flush()
        except OSError:
            # A full disk must not end the guarded program.
            return

    def _size(self, rows: int) -> int:
        return _NUMBER.size * (_HEADER + 2 * rows)

    def _grow(self) -> None:
        size = self._size(self._rows + _ROWS_AT_ONCE)
        # Reserve the space: writing to mapped memory beyond a full disk kills the process.
        os.posix_fallocate(self._file.fileno(), 0, size)
        self._memory = mmap.mmap(self._file.fileno(), size)


@dataclasses.dataclass(frozen=True)
class ProcessReport:
    """The content of the journal of one process.

    Attributes
    ----------
    pid, command
        Process id and command line.
    calls
        Number of guarded calls that it made.
    counted
        Number of these calls whose counts are known.
    ended
        Whether the process ended by itself. False if a signal ended it or it still runs.
    sites
        Every guarded equation with its counts, as plain data.
    unguarded
        Name of each function that ran without the guard, mapped to the reason.
    uncounted
        One sentence for each use of a guarded function that cannot be counted.
    left_alone
        Names of the functions that were left unchanged, as nothing in them can need lifting.
    """

    pid: int
    command: str
    calls: int
    counted: int
    ended: bool
    sites: tuple[dict[str, Any], ...]
    unguarded: Mapping[str, str]
    uncounted: tuple[str, ...]
    left_alone: frozenset[str] = frozenset()


def read_journals(folder: Path) -> list[ProcessReport]:
    """Read the journals of all guarded processes in a folder, in the order of their file names."""
    return [
        report
        for path in sorted(folder.glob("guard-*.jsonl"))
        if (report := _read(path)) is not None
    ]


def _read(path: Path) -> ProcessReport | None:
    """Read one journal; None if its process was killed before the first line was complete."""
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
        left_alone=frozenset(entry["left_alone"] for entry in entries if "left_alone" in entry),
    )

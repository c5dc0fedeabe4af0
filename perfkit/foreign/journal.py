"""The journal of one process: what perfkit does in it, written as it happens.

A journal has two files. Counts go to memory that is mapped from ``*.counts``, so that they survive
a process that a signal kills. What is counted goes to ``*.jsonl``, one line when it first happens.
This module imports the standard library only.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path

PATTERN = "journal-*.jsonl"
"""File names of the lines; the counts lie next to them."""

COUNTS_SUFFIX = ".counts"

NUMBER = struct.Struct("<q")
"""Format of a count."""

CALLS, COUNTED, ENDED, HEADER = 0, 1, 2, 3
"""Positions of the counts of the whole process, and the position of the first row."""

_ROWS_AT_ONCE = 1024
"""Number of rows, of two counts each, by which the file grows: 16 KiB."""

type Entry = Mapping[str, object]
"""Plain data that JSON can represent."""


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
        stem = folder / f"journal-{os.getpid()}-{time.monotonic_ns()}"
        self._lines = stem.with_suffix(".jsonl").open("a", encoding="utf-8")
        self._file = stem.with_suffix(COUNTS_SUFFIX).open("w+b")
        self._rows = 0
        self._grow()
        self.note({"pid": os.getpid(), "command": sys.orig_argv})

    def new_row(self, site: Entry) -> int:
        """Add a row of counts for a guarded equation; return the index of the row."""
        return self.new_counts("site", site)

    def new_counts(self, kind: str, counted: Entry) -> int:
        """Add a row of two counts; return its index.

        Parameters
        ----------
        kind
            What is counted: ``site``, ``took_effect``, ``could_not`` or ``event``.
        counted
            Describes what is counted.
        """
        row, self._rows = self._rows, self._rows + 1
        if self._size(self._rows) > len(self._memory):
            self._grow()
        self.note({"row": row, kind: dict(counted)})
        return row

    def unguarded(self, name: str, why: str) -> None:
        """Note that a function runs without the guard, and why."""
        self.note({"unguarded": name, "why": why})

    def left_alone(self, name: str) -> None:
        """Note that a function was left unchanged, as nothing in it can need lifting."""
        self.note({"left_alone": name})

    def uncounted(self, sentence: str) -> None:
        """Note, in one sentence, a use of a guarded function that cannot be counted."""
        self.note({"uncounted": sentence})

    def called(self) -> None:
        """Note a guarded call, whose counts may not be known yet."""
        self._add(CALLS, 1)

    def counted(self) -> None:
        """Note that the counts of a call were added."""
        self._add(COUNTED, 1)

    def add(self, row: int, first: int, second: int = 0) -> None:
        """Add to the counts of a row."""
        self._add(HEADER + 2 * row, first)
        self._add(HEADER + 2 * row + 1, second)

    def end(self) -> None:
        """Note that the process ends by itself."""
        self._add(ENDED, 1)

    def note(self, entry: Entry) -> None:
        """Write a line."""
        try:
            self._lines.write(json.dumps(entry) + "\n")
            self._lines.flush()
        except OSError:
            # A full disk must not end the program.
            return

    def _add(self, position: int, number: int) -> None:
        at = position * NUMBER.size
        (before,) = NUMBER.unpack_from(self._memory, at)
        NUMBER.pack_into(self._memory, at, before + number)

    def _size(self, rows: int) -> int:
        return NUMBER.size * (HEADER + 2 * rows)

    def _grow(self) -> None:
        size = self._size(self._rows + _ROWS_AT_ONCE)
        # Reserve the space: writing to mapped memory beyond a full disk kills the process.
        os.posix_fallocate(self._file.fileno(), 0, size)
        self._memory = mmap.mmap(self._file.fileno(), size)

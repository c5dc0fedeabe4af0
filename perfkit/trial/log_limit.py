"""A limit on what a child prints, so that a flood does not fill the disk."""

from __future__ import annotations

import os
from pathlib import Path

from perfkit.units import bytes_text

MOST_BYTES = 64 << 20
"""Size from which a log is cut. A chatty compiler prints some megabytes."""

KEPT_BYTES = 64 << 10
"""End of the log that is kept, where the cause of a death stands."""


class LogLimit:
    """Cuts a log that has become too long to its end.

    The child appends to the file, so that it goes on behind what is left.

    Parameters
    ----------
    log
        The file.
    most_bytes, kept_bytes
        Size from which the log is cut, and size of the end that is kept.

    Attributes
    ----------
    dropped_bytes
        What was cut off so far.
    """

    def __init__(
        self, log: Path, most_bytes: int = MOST_BYTES, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self.dropped_bytes = 0
        self._log = log
        self._most_bytes = most_bytes
        self._kept_bytes = kept_bytes

    def enforce(self) -> None:
        """Cut the log if it is too long; a log that cannot be cut is left as it is."""
        try:
            if self._log.stat().st_size <= self._most_bytes:
                return
            with self._log.open("r+b") as stream:
                dropped = stream.seek(-self._kept_bytes, os.SEEK_END)
                end = stream.read(self._kept_bytes)
                note = f"... {bytes_text(self.dropped_bytes + dropped)} were cut off here\n"
                stream.seek(0)
                stream.write(note.encode() + end)
                stream.truncate()
        except OSError:
            return
        self.dropped_bytes += dropped

    def sentence(self) -> str | None:
        """What was cut off, for the warnings of a record; None if nothing was."""
        if not self.dropped_bytes:
            return None
        return (
            f"the trial printed more than {bytes_text(self.dropped_bytes)}, of which the log keeps "
            "the end; printing takes time"
        )

"""What became of the settings in this process, written to its journal.

Imports the standard library only.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from perfkit.foreign.journal import Journal

MICROSECONDS_PER_S = 1_000_000


class JournalReport:
    """Counts in the journal of this process what became of each setting.

    It is a :class:`perfkit.foreign.adapter.SettingsReport`. Without a journal it does nothing.
    """

    def __init__(self) -> None:
        """Start without a journal."""
        self.begin(None)

    def begin(self, journal: Journal | None) -> None:
        """Write to this journal from now on, as a forked process must."""
        self._lock = threading.Lock()
        self._journal = journal
        self._rows: dict[tuple[str, ...], int] = {}
        self._said: set[str] = set()

    def took_effect(self, setting: str, detail: str = "") -> None:
        """Count that a setting took effect once."""
        self._count("took_effect", {"setting": setting, "detail": detail})

    def could_not(self, setting: str, reason: str) -> None:
        """Report that a setting could not be applied, to one input or at all."""
        self._count("could_not", {"setting": setting, "reason": reason})

    def say(self, sentence: str) -> None:
        """Report a sentence that belongs to no setting; repetitions are dropped."""
        with self._lock:
            if self._journal is not None and sentence not in self._said:
                self._said.add(sentence)
                self._journal.note({"sentence": sentence})

    def predicts(self, name: str, size: int) -> None:
        """Report an input that the program predicts."""
        self.note({"input": name, "size": size})

    def happened(self, event: str, duration_s: float = 0.0) -> None:
        """Count an event, and add up the seconds that it took."""
        self._count("event", {"name": event}, round(duration_s * MICROSECONDS_PER_S))

    def note(self, entry: Mapping[str, object]) -> None:
        """Write a line to the journal."""
        with self._lock:
            if self._journal is not None:
                self._journal.note(entry)

    def _count(self, kind: str, counted: Mapping[str, str], second: int = 0) -> None:
        with self._lock:
            if self._journal is None:
                return
            key = (kind, *counted.values())
            if key not in self._rows:
                self._rows[key] = self._journal.new_counts(kind, counted)
            self._journal.add(self._rows[key], 1, second)

"""Adds up what the guard counted in one process, over all calls of all guarded functions."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np

from perfkit.guard.counts import GuardReport, SiteCount, summarize
from perfkit.guard.plan import Site

MOST_PENDING_REPORTS = 64
"""Number of reports that may wait to be added up. Reading a report waits for its call to end, so
the ledger reads reports late."""


class Journal(Protocol):
    """Where counts are written as they are made, e.g. :class:`perfkit.foreign.journal.Journal`."""

    def new_row(self, site: Mapping[str, str | int]) -> int:
        """Add a row of counts for a guarded equation; return the index of the row."""
        ...

    def add(self, row: int, lifted: int, zeroed: int) -> None:
        """Add to the counts of a row."""
        ...

    def called(self) -> None:
        """Note a guarded call, whose counts may not be known yet."""
        ...

    def counted(self) -> None:
        """Note that the counts of a call were added."""
        ...

    def unguarded(self, name: str, why: str) -> None:
        """Note that a function runs without the guard, and why."""
        ...

    def left_alone(self, name: str) -> None:
        """Note that a function was left unchanged, as nothing in it can need lifting."""
        ...

    def uncounted(self, sentence: str) -> None:
        """Note, in one sentence, a use of a guarded function that cannot be counted."""
        ...

    def end(self) -> None:
        """Note that the process ends by itself."""
        ...


class Ledger:
    """What the guard counted in this process.

    Parameters
    ----------
    journal
        Where counts are written as they are made, or None to keep them in memory only.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        """Start with empty counts."""
        self.begin(journal)

    def begin(self, journal: Journal | None) -> None:
        """Start over with empty counts, as a forked process must.

        Parameters
        ----------
        journal
            The journal of this process, or None.
        """
        self._lock = threading.Lock()
        self._journal = journal
        self._waits = False
        self._pending: list[GuardReport] = []
        self._totals: dict[Site, np.ndarray[Any, np.dtype[np.int64]]] = {}
        self._rows: dict[Site, int] = {}
        self._unguarded: dict[str, str] = {}
        self._left_alone: set[str] = set()

    def wait_for_calls(self) -> None:
        """From now on, wait for each call to end and count it at once.

        For worker processes, which a signal may end as soon as they have returned a result.
        """
        self._waits = True

    def add(self, report: GuardReport) -> None:
        """Add the report of one call."""
        with self._lock:
            self._pending.append(report)
            if self._journal is not None:
                self._journal.called()
                self._note_sites(self._journal, report)
            if self._waits or len(self._pending) > MOST_PENDING_REPORTS:
                self._count_all()
            elif self._journal is not None:
                self._count_ready()

    def note_unguarded(self, name: str, why: str) -> None:
        """Note that a function runs without the guard, and why."""
        with self._lock:
            self._note_unguarded(name, why)

    def note_left_alone(self, name: str, report: GuardReport) -> None:
        """Note that a function was left unchanged, as nothing in it can need lifting.

        Parameters
        ----------
        name
            Name of the function.
        report
            Its report, which has no guarded equation. What the guard cannot enter is noted instead.
        """
        with self._lock:
            self._note_unreachable(report)
            if report.unreachable or name in self._left_alone:
                return
            self._left_alone.add(name)
            if self._journal is not None:
                self._journal.left_alone(name)

    def note_uncounted(self, name: str, purpose: str) -> None:
        """Note that a function is guarded, but used for a purpose where nothing is counted."""
        if self._journal is not None:
            self._journal.uncounted(f"{name} was {purpose}: it is guarded there, but not counted")

    def rows(self) -> tuple[SiteCount, ...]:
        """Wait for pending calls and return the counts of every guarded equation."""
        with self._lock:
            self._count_all()
            return tuple(
                SiteCount(site, int(lifted), int(zeroed))
                for site, (lifted, zeroed) in self._totals.items()
            )

    def as_dict(self) -> dict[str, object]:
        """Return the counts as plain data for JSON.

        As :func:`perfkit.guard.counts.summarize`, with two further keys. ``unguarded_functions``:
        names of functions that run without the guard, mapped to the reason. ``left_alone``: number
        of functions that were left unchanged, as nothing in them can need lifting.
        """
        return {
            **summarize(self.rows()),
            "unguarded_functions": dict(self._unguarded),
            "left_alone": len(self._left_alone),
        }

    def end(self, *, waits: bool) -> None:
        """Write to the journal that the process ends, with the counts up to then.

        Parameters
        ----------
        waits
            Whether to wait for calls that still run.
        """
        with self._lock:
            if waits:
                self._count_all()
            else:
                self._count_ready()
            if self._journal is not None:
                self._journal.end()

    def _note_unguarded(self, name: str, why: str) -> None:
        if self._journal is not None and name not in self._unguarded:
            self._journal.unguarded(name, why)
        self._unguarded[name] = why

    def _note_sites(self, journal: Journal, report: GuardReport) -> None:
        for site in report.sites:
            if site not in self._rows:
                self._rows[site] = journal.new_row(site.as_dict())
        self._note_unreachable(report)

    def _note_unreachable(self, report: GuardReport) -> None:
        for site in report.unreachable:
            name = f"{site.primitive} at {site.origin.file}:{site.origin.line}"
            self._note_unguarded(name, "the guard cannot enter it")

    def _count_ready(self) -> None:
        """Count the calls that have ended, without waiting for others."""
        while self._pending and self._pending[0].is_ready():
            self._count(self._pending.pop(0))

    def _count_all(self) -> None:
        pending, self._pending = self._pending, []
        for report in pending:
            self._count(report)

    def _count(self, report: GuardReport) -> None:
        self._note_unreachable(report)
        try:
            rows = report.rows()
        except jax.errors.JaxRuntimeError:
            # The call failed; the program sees the error when it reads the results.
            rows = ()
        for row in rows:
            counts = np.array([row.lifted, row.zeroed], np.int64)
            self._totals[row.site] = self._totals.get(row.site, 0) + counts
            if self._journal is not None and (row.lifted or row.zeroed):
                self._journal.add(self._rows[row.site], row.lifted, row.zeroed)
        if self._journal is not None:
            self._journal.counted()

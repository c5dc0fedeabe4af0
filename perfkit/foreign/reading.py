"""Read the journals that the processes of a command left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.foreign.journal import CALLS, COUNTED, COUNTS_SUFFIX, ENDED, HEADER, NUMBER, PATTERN
from perfkit.foreign.process_watch import JaxProcess


@dataclass(frozen=True)
class Counted:
    """Something that was counted.

    Attributes
    ----------
    entry
        Describes it, as plain data.
    first, second
        The two counts.
    """

    entry: Mapping[str, Any]
    first: int
    second: int


@dataclass(frozen=True)
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
    took_effect, could_not
        Settings that took effect or could not be applied, and how often.
    events
        What happened in JAX -> how often.
    versions
        Version of Python and of installed packages; empty if the process did not import JAX.
    jaxlib
        ``python``, ``build`` and ``xla_flags`` of a process that imported JAX, else empty.
    models
        Models whose packages the program imported, mapped to the package.
    sentences
        Sentences that belong to no setting.
    inputs
        Name and size of each input that was predicted.
    durations_s
        Name of a stage -> its seconds.
    """

    pid: int
    command: str
    calls: int
    counted: int
    ended: bool
    sites: tuple[dict[str, Any], ...]
    unguarded: Mapping[str, str]
    uncounted: tuple[str, ...]
    left_alone: frozenset[str]
    took_effect: tuple[Counted, ...]
    could_not: tuple[Counted, ...]
    events: Mapping[str, int]
    versions: Mapping[str, str]
    jaxlib: Mapping[str, str]
    models: Mapping[str, str]
    sentences: tuple[str, ...]
    inputs: tuple[tuple[str, int], ...]
    durations_s: Mapping[str, float]

    @property
    def imported_jax(self) -> bool:
        """Whether the process imported JAX."""
        return bool(self.versions or self.sites or self.left_alone)


def read_journals(folder: Path) -> list[ProcessReport]:
    """Read the journals of all processes in a folder, in the order of their file names."""
    return [report for path in sorted(folder.glob(PATTERN)) if (report := _read(path)) is not None]


def unreached(
    processes: Sequence[JaxProcess], reports: Sequence[ProcessReport]
) -> list[JaxProcess]:
    """Processes in which JAX was found, and that neither left a journal nor forked from one."""
    return [
        process
        for process in processes
        if not any(
            report.pid == process.pid or (process.has_plan and report.command == process.command)
            for report in reports
        )
    ]


def _read(path: Path) -> ProcessReport | None:
    """Read one journal; None if its process was killed before the first line was complete."""
    entries = _entries(path)
    counts_file = path.with_suffix(COUNTS_SUFFIX)
    memory = counts_file.read_bytes() if counts_file.exists() else b""
    if not entries or len(memory) < NUMBER.size * HEADER:
        return None
    numbers = [number for (number,) in NUMBER.iter_unpack(memory)]
    events = _rows(entries, "event", numbers)
    return ProcessReport(
        pid=entries[0]["pid"],
        command=" ".join(entries[0]["command"]),
        calls=numbers[CALLS],
        counted=numbers[COUNTED],
        ended=numbers[ENDED] > 0,
        sites=tuple(
            {**row.entry, "lifted": row.first, "zeroed": row.second}
            for row in _rows(entries, "site", numbers)
        ),
        unguarded={entry["unguarded"]: entry["why"] for entry in entries if "unguarded" in entry},
        uncounted=tuple(entry["uncounted"] for entry in entries if "uncounted" in entry),
        left_alone=frozenset(entry["left_alone"] for entry in entries if "left_alone" in entry),
        took_effect=_rows(entries, "took_effect", numbers),
        could_not=_rows(entries, "could_not", numbers),
        events={row.entry["name"]: row.first for row in events},
        versions=_merged(entries, "versions"),
        jaxlib=_merged(entries, "jaxlib"),
        models=_merged(entries, "models"),
        sentences=tuple(entry["sentence"] for entry in entries if "sentence" in entry),
        inputs=tuple((entry["input"], entry["size"]) for entry in entries if "input" in entry),
        # Durations are counted in microseconds.
        durations_s={row.entry["name"]: row.second / 1e6 for row in events if row.second},
    )


def _entries(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a journal."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def _rows(
    entries: Sequence[Mapping[str, Any]], kind: str, numbers: Sequence[int]
) -> tuple[Counted, ...]:
    """Everything of a kind that was counted. Counts of a row lie two by two after the header."""
    found = []
    for entry in entries:
        if kind in entry and "row" in entry:
            at = HEADER + 2 * entry["row"]
            first, second = numbers[at : at + 2]
            found.append(Counted(entry[kind], first, second))
    return tuple(found)


def _merged(entries: Sequence[Mapping[str, Any]], kind: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for entry in entries:
        merged |= entry.get(kind, {})
    return merged

"""The accounts of Slurm: reading what ``sacct --parsable2`` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.capacity.check.actual import AccountedJob, Actual, Fate
from perfkit.cluster.place import JobState
from perfkit.cluster.slurm_states import STATES
from perfkit.errors import UserError
from perfkit.input_files import MOST_BYTES_OF_A_QUEUE, read_bytes
from perfkit.units import DAY_S, HOUR_S, MINUTE_S, cut

JOB, NAME, STATE, ELAPSED, PEAK = "jobid", "jobname", "state", "elapsed", "maxrss"

NEEDED = (JOB, NAME, STATE, ELAPSED, PEAK)

COMMAND = "sacct --parsable2 --format=JobID,JobName,State,Elapsed,MaxRSS"
"""The command whose output is read; it may print further columns."""

MOST_TASKS = 100_000
"""Most tasks of a pending array that are listed one by one."""

_IDENTIFIER = re.compile(
    r"(?P<job>\d+(?:\+\d+)?)(?:_(?:(?P<task>\d+)|\[(?P<tasks>[^\]]*)\]))?(?:\.(?P<step>[\w+-]+))?"
)
_ELAPSED = re.compile(r"(?:(\d{1,6})-)?(?:(\d{1,4}):)?(\d{1,4}):(\d{2})(?:\.\d+)?")
_AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)([KMGTP]?)")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?")

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}

_FATES = {
    JobState.QUEUED: Fate.QUEUED,
    JobState.RUNNING: Fate.RUNNING,
    JobState.ENDED: Fate.FINISHED,
    JobState.OUT_OF_MEMORY: Fate.OUT_OF_MEMORY,
    JobState.TIME_LIMIT: Fate.TIME_LIMIT,
    JobState.PREEMPTED: Fate.INTERRUPTED,
    JobState.NODE_FAILED: Fate.INTERRUPTED,
    JobState.CANCELLED: Fate.CANCELLED,
}


@dataclass
class _Collected:
    """The lines of one run of a job: its own, and those of its steps."""

    name: str
    task: int | None
    source: str
    fate: Fate
    elapsed_s: float
    peaks: list[int] = field(default_factory=list)

    def account(self) -> AccountedJob:
        """Return the job; the peak is the largest of its steps, which follow each other."""
        peak = max(self.peaks, default=0)
        started = self.fate is not Fate.QUEUED
        actual = Actual(
            fate=self.fate,
            time_s=self.elapsed_s if started else None,
            memory_bytes=peak or None,
            source=f"Slurm job {self.source}",
            is_sampled=bool(peak),
        )
        return AccountedJob(self.name, self.task, actual)


def read_accounts(path: Path) -> list[AccountedJob]:
    """Read the output of ``sacct``.

    The lines of a job are its own, with its state and elapsed time, and those of its steps such as
    ``123_4.batch``, with their memory. A job that was requeued has several runs under
    ``--duplicates``; each is a job here, in the order of the file. Tasks of an array that have not
    begun share a line, ``123_[5-9%2]``.

    Parameters
    ----------
    path
        Text of the columns of :data:`COMMAND`, in any order, with the line of their names.

    Raises
    ------
    UserError
        The file cannot be read, or is not such a text.
    """
    text = read_bytes(path, "accounts", MOST_BYTES_OF_A_QUEUE).decode(errors="replace")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    columns = [cell.strip().casefold() for cell in lines[0][1].split("|")] if lines else []
    missing = [name for name in NEEDED if name not in columns]
    if JOB in missing or len(columns) < 2:
        raise UserError(
            f"{path} is not the output of sacct, whose first line names the columns: make it with "
            f"'{COMMAND}'"
        )
    if missing:
        shown = {word.casefold(): word for word in COMMAND.rpartition("=")[2].split(",")}
        raise UserError(f"{path} has no column {shown[missing[0]]}: make it with '{COMMAND}'")
    found: list[_Collected] = []
    latest: dict[str, _Collected] = {}
    for number, line in lines[1:]:
        cells = _cells(line.rstrip("\r"), columns)
        identifier = None if cells is None else _IDENTIFIER.fullmatch(cells[JOB])
        if cells is None or identifier is None:
            raise UserError(f"{path}, line {number}: {cut(line)!r} is not a line of sacct")
        origin = f"{path}, line {number}"
        if identifier["step"] is not None:
            owner = latest.get(cells[JOB].partition(".")[0])
            peak = _bytes(cells[PEAK], origin)
            if owner is not None and peak is not None:
                owner.peaks.append(peak)
            continue
        for one in _jobs(cells, identifier, origin):
            found.append(one)
            latest[one.source] = one
    return [one.account() for one in found]


def _cells(line: str, columns: Sequence[str]) -> Mapping[str, str] | None:
    """Return the cells by column, None where there are too few.

    The name of a job may hold the separator. ``--parsable`` ends each line with one, the first too.
    """
    cells = line.split("|")
    extra = len(cells) - len(columns)
    if extra < 0:
        return None
    place = columns.index(NAME)
    cells[place : place + extra + 1] = ["|".join(cells[place : place + extra + 1])]
    return {
        column: cell if column == NAME else cell.strip()
        for column, cell in zip(columns, cells, strict=True)
    }


def _jobs(cells: Mapping[str, str], identifier: re.Match[str], origin: str) -> Iterator[_Collected]:
    words = cells[STATE].split()
    state = words[0].rstrip("+") if words else ""
    if not re.fullmatch(r"[A-Z_]+", state):
        raise UserError(f"{origin}: the state is {cut(cells[STATE])!r}, e.g. COMPLETED is expected")
    # Newer versions of Slurm know further ways to fail.
    fate = _FATES.get(STATES.get(state, JobState.FAILED), Fate.FAILED)
    elapsed_s = _seconds(cells[ELAPSED], origin)
    peak = _bytes(cells[PEAK], origin)
    tasks: Sequence[int | None] = [None]
    if identifier["task"] is not None:
        tasks = [int(identifier["task"])]
    elif identifier["tasks"] is not None:
        tasks = _tasks(identifier["tasks"], origin)
    for task in tasks:
        source = identifier["job"] if task is None else f"{identifier['job']}_{task}"
        yield _Collected(cells[NAME], task, source, fate, elapsed_s, [] if peak is None else [peak])


def _tasks(text: str, origin: str) -> list[int]:
    """Return the tasks of ``5-9,12%2``. Slurm cuts a long list and ends it with dots."""
    found: list[int] = []
    for part in text.partition("%")[0].split(","):
        if not part.strip(". "):
            continue
        bounds = _RANGE.fullmatch(part.strip())
        if bounds is None:
            if part.rstrip().endswith("..."):
                # The number before the dots may be cut too.
                continue
            raise UserError(f"{origin}: {cut(text)!r} are not tasks of an array, such as 5-9")
        first = int(bounds[1])
        last = int(bounds[2]) if bounds[2] else first
        found += range(first, last + 1, max(1, int(bounds[3] or 1)))[:MOST_TASKS]
    return found[:MOST_TASKS]


def _seconds(text: str, origin: str) -> float:
    """Return the seconds of ``[days-]hours:minutes:seconds``."""
    found = _ELAPSED.fullmatch(text)
    if found is None:
        raise UserError(
            f"{origin}: Elapsed is {cut(text)!r}, expected [days-]hours:minutes:seconds"
        )
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return float(days * DAY_S + hours * HOUR_S + minutes * MINUTE_S + seconds)


def _bytes(text: str, origin: str) -> int | None:
    """Return the bytes of a number such as ``512K``, whose units are binary; None for no text."""
    if not text:
        return None
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise UserError(f"{origin}: MaxRSS is {cut(text)!r}, expected a number such as 512K")
    return int(float(found[1]) * _UNITS[found[2]])

"""Leases: a worker holds a unit as long as it shows signs of life."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from perfkit.shared_study.exclusive import create

BEATS_PER_LEASE = 6
"""Signs of life within the time after which a lease expires: a few may come late."""

COUNTER_DIGITS = 12

_NAME = re.compile(r"([0-9a-f]{12})-(\d{1,9})\.lease")


@dataclass(frozen=True)
class Worker:
    """A worker, and where it runs.

    Attributes
    ----------
    name
        Unique name, which is safe in file names.
    host, pid
        Host name and process ID.
    node
        Name of the node by the scheduler; None without one.
    job
        Job of the scheduler; None without one.
    begin_s
        When it began, in seconds since the epoch by the clock of its host.
    busy
        What else ran on its CPUs when it began; empty if nothing did, or if nobody looked.
    """

    name: str
    host: str
    pid: int
    node: str | None = None
    job: str | None = None
    begin_s: float = 0.0
    busy: str = ""

    @property
    def place(self) -> str:
        """Node, else host."""
        return self.node or self.host


_WORKER = TypeAdapter(Worker)


def read_worker(line: bytes) -> Worker:
    """Read a worker from JSON.

    Raises
    ------
    ValueError
        It is no worker.
    """
    return _WORKER.validate_json(line)


@dataclass(frozen=True)
class Lease:
    """What a lease file says.

    Attributes
    ----------
    key, number
        The unit, and how often it has been taken.
    worker
        The holder; None where the file cannot be read.
    released
        Why the holder gave the unit back; None while it holds it, or since it was lost.
    content
        The file, which changes with each sign of life.
    """

    key: str
    number: int
    worker: Worker | None
    released: str | None
    content: bytes | None


class HeldLease:
    """A lease that this process holds.

    Parameters
    ----------
    path
        The lease file.
    next_path
        File of the lease that another worker would take it over with.
    header
        First line of the file.
    """

    def __init__(self, path: Path, next_path: Path, header: bytes) -> None:
        self._path = path
        self._next_path = next_path
        self._header = header
        self._beats = 0

    def beat(self) -> None:
        """Show a sign of life. A folder that cannot be written now is tried again next time."""
        self._beats += 1
        with contextlib.suppress(OSError):
            self._write(len(self._header), _counter(self._beats))

    def is_lost(self) -> bool:
        """Whether another worker has taken the unit over, or the study was deleted."""
        return self._next_path.exists() or not self._path.exists()

    def release(self, reason: str) -> None:
        """Give the unit back, so that others need not wait until the lease expires."""
        line = (json.dumps({"released": reason}) + "\n").encode()
        with contextlib.suppress(OSError):
            self._write(len(self._header) + COUNTER_DIGITS + 1, line)

    def _write(self, at: int, content: bytes) -> None:
        # The inode stays the same, and closing the file sends it to the server: readers on other
        # hosts see the change as soon as they open it.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, content, at)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Leases:
    """The leases of a study.

    Parameters
    ----------
    folder
        Folder of the lease files; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str, number: int) -> Lease:
        """Read a lease, which may be in the middle of a change."""
        worker, released, content = None, None, None
        with contextlib.suppress(OSError):
            content = self._path(key, number).read_bytes()
        lines = [] if content is None else content.split(b"\n")
        with contextlib.suppress(ValueError, TypeError, RecursionError, IndexError):
            worker = read_worker(lines[0])
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError, IndexError):
            released = str(json.loads(lines[2])["released"])
        return Lease(key, number, worker, released, content)

    def take(self, key: str, number: int, worker: Worker) -> HeldLease | None:
        """Take a lease; None if another worker has taken the one of this number.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        path = self._path(key, number)
        header = (json.dumps(asdict(worker)) + "\n").encode()
        if not create(path, header + _counter(0)):
            return None
        return HeldLease(path, self._path(key, number + 1), header)

    def age_s(self, key: str, number: int) -> float | None:
        """Seconds since the last sign of life by the clock of the file server; None if unknown."""
        probe = self._folder / f".perfkit-age-{os.getpid()}.part"
        try:
            probe.write_bytes(b"\n")
            now_s = probe.stat().st_mtime
            # An opened file is revalidated; its attributes are not those of a cache.
            with self._path(key, number).open("rb") as stream:
                return max(0.0, now_s - os.fstat(stream.fileno()).st_mtime)
        except OSError:
            return None
        finally:
            probe.unlink(missing_ok=True)

    def _path(self, key: str, number: int) -> Path:
        return self._folder / f"{key}-{number}.lease"


def lease_numbers(names: Iterable[str]) -> dict[str, list[int]]:
    """The numbers of the leases of each unit, ascending.

    Parameters
    ----------
    names
        Names in the folder of the leases; those of other files are left out.
    """
    found: dict[str, list[int]] = defaultdict(list)
    for name in names:
        if match := _NAME.fullmatch(name):
            found[match[1]].append(int(match[2]))
    return {key: sorted(numbers) for key, numbers in found.items()}


class Silence:
    """How long each lease has not changed, by the clock of this process.

    Parameters
    ----------
    now_s
        Seconds of a monotonic clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._seen: dict[str, tuple[int, bytes, float]] = {}

    def of(self, lease: Lease) -> float:
        """Seconds since this lease was last seen to change; 0 where it cannot be read now."""
        if lease.content is None:
            self._seen.pop(lease.key, None)
            return 0.0
        known = self._seen.get(lease.key)
        if known is None or known[:2] != (lease.number, lease.content):
            known = (lease.number, lease.content, self._now_s())
            self._seen[lease.key] = known
        return self._now_s() - known[2]


@contextlib.contextmanager
def beating(
    lease: HeldLease, interval_s: float, also: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Show signs of life while the block runs.

    Parameters
    ----------
    lease
        The lease that is held.
    interval_s
        Seconds between two signs of life.
    also
        Called after each sign of life, in a thread of its own.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(interval_s):
            lease.beat()
            also()

    thread = threading.Thread(target=run, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def environment_job(environment: Mapping[str, str]) -> str | None:
    """The job of Slurm that the environment names, as ``squeue`` prints it; None outside a job."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return environment.get("SLURM_JOB_ID") or None


def _counter(beats: int) -> bytes:
    return b"%0*d\n" % (COUNTER_DIGITS, beats)

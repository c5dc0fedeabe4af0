"""Journals of running trials: each pass is written when it ends, so that no kill can lose it.

A trial writes a file ``under-way-ID.jsonl`` in the folder of the store, and locks it while the
process lives. The first line is the record that the trial leaves if it is killed at once; one line
per stage follows. The journal is removed when the store holds the record of the trial.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perfkit.errors import UserError
from perfkit.records.bounded import refuse_unusable
from perfkit.records.disturbances import DisturbedPass
from perfkit.records.schema import Record, Stage
from perfkit.records.upgrades import read_record

type Lock = Callable[[int, int], None]
"""Locks an open file, given its descriptor and the operation, as ``fcntl.flock`` does."""

PATTERN = "under-way-*.jsonl"
ABANDONED = "perfkit was killed during the trial; the finished passes are kept"
"""Reason in the record of an abandoned journal."""


class Journal:
    """Journal of one trial.

    A journal that cannot be written (a full disk, a deleted folder) is given up without a message:
    the trial continues, and the store reports the error when it cannot write the record.

    Parameters
    ----------
    folder
        Folder of the store.
    record
        The record that the trial leaves if it is killed now.
    lock
        Locks an open file without waiting, as ``fcntl.flock`` does.
    """

    def __init__(self, folder: Path, record: Record, lock: Lock = fcntl.flock) -> None:
        self._descriptor: int | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with suppress(OSError):
            descriptor = os.open(journal_file(folder, record.id), flags, 0o666)
            self._descriptor = descriptor
            weakref.finalize(self, _close, descriptor)
            with suppress(OSError):
                # Some network file systems cannot lock. Readers then check the host and process.
                lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer = {"host": socket.gethostname(), "pid": os.getpid()}
        self._write({"writer": writer, "record": record.model_dump(mode="json")})

    def stage(self, stage: Stage) -> None:
        """Write a finished stage."""
        self._write({"stage": stage.model_dump(mode="json")})

    def disturbed(self, dropped: DisturbedPass) -> None:
        """Write that the last stage was a disturbed pass, which is dropped."""
        self._write({"disturbed": dropped.model_dump(mode="json")})

    def ended(self, record: Record) -> None:
        """Write the whole record, which the store may receive much later."""
        self._write({"record": record.model_dump(mode="json")})

    def _write(self, line: dict[str, object]) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, (json.dumps(line) + "\n").encode())
            os.fsync(self._descriptor)
        except OSError:
            self._descriptor = None


def journal_file(folder: Path, record_id: str) -> Path:
    """Path of the journal of a trial."""
    return folder / f"under-way-{record_id}.jsonl"


def remove_journal(folder: Path, record_id: str) -> None:
    """Remove the journal of a trial whose record the store holds."""
    with suppress(OSError):
        journal_file(folder, record_id).unlink()


def abandoned_records(
    folder: Path, known: Collection[str], lock: Lock = fcntl.flock
) -> Iterator[Record]:
    """Records of trials whose process is gone, from their journals.

    Parameters
    ----------
    folder
        Folder of the store.
    known
        Ids of the records that the store holds.
    lock
        As for :class:`Journal`.
    """
    for path in sorted(folder.glob(PATTERN)):
        with _locked(path, fcntl.LOCK_SH, lock) as free:
            record = _read(path) if free else None
        if record is not None and record.id not in known:
            yield record


@contextmanager
def adopting(folder: Path) -> Iterator[list[Record]]:
    """Give the records of abandoned journals to the block, and remove the journals at its end.

    The journals are locked during the block, so that only one of several processes takes each.
    """
    taken: list[tuple[Path, int]] = []
    records = []
    try:
        for path in sorted(folder.glob(PATTERN)):
            descriptor = _open_if_free(path, fcntl.LOCK_EX, fcntl.flock)
            if descriptor is None:
                continue
            record = _read(path)
            if record is None:
                os.close(descriptor)
                continue
            taken.append((path, descriptor))
            records.append(record)
        yield records
        for path, _ in taken:
            path.unlink(missing_ok=True)
    finally:
        for _, descriptor in taken:
            os.close(descriptor)


@contextmanager
def _locked(path: Path, kind: int, lock: Lock) -> Iterator[bool]:
    descriptor = _open_if_free(path, kind, lock)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_if_free(path: Path, kind: int, lock: Lock) -> int | None:
    """Open and lock a journal; None where its writer lives, or the journal is gone."""
    try:
        # A reader may lack the permission to write, which an exclusive lock over NFS requires.
        access = os.O_RDWR if kind == fcntl.LOCK_EX else os.O_RDONLY
        descriptor = os.open(path, access | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        lock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        # Without locks, only processes of this host can be known to be gone.
        if not _writer_is_gone(path):
            os.close(descriptor)
            return None
    try:
        # Another process may have taken and removed the journal between the two calls above.
        same = os.fstat(descriptor).st_ino == path.stat().st_ino
    except OSError:
        same = False
    if not same:
        os.close(descriptor)
        return None
    return descriptor


def _writer_is_gone(path: Path) -> bool:
    try:
        writer = json.loads(path.read_text(encoding="utf-8").split("\n", 1)[0])["writer"]
        host, pid = str(writer["host"]), int(writer["pid"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return host == socket.gethostname() and not Path(f"/proc/{pid}").exists()


def _read(path: Path) -> Record | None:
    """The record that follows from a journal; None if its first line is damaged."""
    record: Record | None = None
    stages: list[Stage] = []
    dropped: list[DisturbedPass] = []
    peak_bytes = 0
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return None
    for line in lines:
        try:
            data = json.loads(line)
            refuse_unusable(data)
            if "record" in data:
                record = read_record(data["record"])
                stages, dropped = list(record.stages), list(record.disturbed_passes)
                peak_bytes = record.peak_rss_bytes
            elif "stage" in data:
                stages.append(Stage.model_validate(data["stage"]))
                peak_bytes = max(peak_bytes, stages[-1].peak_rss_bytes)
            elif "disturbed" in data:
                disturbed = DisturbedPass.model_validate(data["disturbed"])
                stages.pop()
                dropped.append(disturbed)
        except (ValueError, TypeError, IndexError, UserError, RecursionError):
            # A torn or damaged line, or a line of a newer perfkit.
            continue
    if record is None:
        return None
    return record.model_copy(
        update={"stages": stages, "disturbed_passes": dropped, "peak_rss_bytes": peak_bytes}
    )


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)

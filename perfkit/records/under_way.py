"""Journals of trials under way: passes written as they come, so that no kill can cost them.

A trial keeps a file ``under-way-<id>.jsonl`` in the store's folder, locked while its writer lives.
Its first line is the record that the trial leaves if nothing more is heard of it; stages follow,
one per line. Once the store holds the record of that identity, the journal is done with.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perfkit.errors import UserError
from perfkit.records.bounded import refuse_unusable
from perfkit.records.schema import DisturbedPass, Record, Stage, read_record

PATTERN = "under-way-*.jsonl"
ABANDONED = "perfkit was killed while the trial was under way; what it had measured is kept"
"""Reason of the record that an abandoned journal becomes."""


class Journal:
    """What is known of one trial so far, on disk.

    A journal that cannot be written (a full disk, a deleted folder) is given up in silence: the
    trial itself goes on, and its record says what went wrong if that cannot be written either.

    Parameters
    ----------
    folder
        The store's.
    record
        The record that the trial leaves if its writer is killed now.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self._descriptor: int | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with suppress(OSError):
            descriptor = os.open(journal_file(folder, record.id), flags, 0o666)
            self._descriptor = descriptor
            weakref.finalize(self, _close, descriptor)
            with suppress(OSError):
                # Some network file systems cannot lock: host and process are looked at then.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer = {"host": socket.gethostname(), "pid": os.getpid()}
        self._write({"writer": writer, "record": record.model_dump(mode="json")})

    def stage(self, stage: Stage) -> None:
        """Keep a stage that has ended."""
        self._write({"stage": stage.model_dump(mode="json")})

    def disturbed(self, dropped: DisturbedPass) -> None:
        """Take back the last stage: it was a pass that is not kept."""
        self._write({"disturbed": dropped.model_dump(mode="json")})

    def ended(self, record: Record) -> None:
        """Keep the whole record; the store may be given it much later."""
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
    """Where the journal of a trial is."""
    return folder / f"under-way-{record_id}.jsonl"


def settle(folder: Path, record_id: str) -> None:
    """Do away with the journal of a record that the store holds."""
    with suppress(OSError):
        journal_file(folder, record_id).unlink()


def abandoned_records(folder: Path, known: Collection[str]) -> Iterator[Record]:
    """Records of trials whose writer is gone, from their journals.

    Parameters
    ----------
    folder
        The store's.
    known
        Identities that the store holds a record of.
    """
    for path in sorted(folder.glob(PATTERN)):
        with _locked(path, fcntl.LOCK_SH) as free:
            record = _read(path) if free else None
        if record is not None and record.id not in known:
            yield record


@contextmanager
def adopting(folder: Path) -> Iterator[list[Record]]:
    """The records of abandoned journals for the block to store; the journals go when it ends.

    Each journal is locked meanwhile, so that of several perfkits one takes it.
    """
    taken: list[tuple[Path, int]] = []
    records = []
    try:
        for path in sorted(folder.glob(PATTERN)):
            descriptor = _open_if_free(path, fcntl.LOCK_EX)
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
def _locked(path: Path, kind: int) -> Iterator[bool]:
    descriptor = _open_if_free(path, kind)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_if_free(path: Path, kind: int) -> int | None:
    """The journal opened and locked; None where its writer lives, or it is gone."""
    try:
        # Who only reads may have no right to write; an exclusive lock over NFS takes that right.
        access = os.O_RDWR if kind == fcntl.LOCK_EX else os.O_RDONLY
        descriptor = os.open(path, access | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        # No locks here: only a process of this host can be known to be gone.
        if not _writer_is_gone(path):
            os.close(descriptor)
            return None
    try:
        # Another one may have taken and removed it between the two calls above.
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
    """The record that a journal comes to; None where not even its first line is whole."""
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
            # A torn or damaged line, or one of a newer perfkit.
            continue
    if record is None:
        return None
    return record.model_copy(
        update={"stages": stages, "disturbed_passes": dropped, "peak_rss_bytes": peak_bytes}
    )


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)

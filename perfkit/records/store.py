"""The store: a folder of append-only files of records, one file a writer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.printable import printable
from perfkit.records.reason import fault_of
from perfkit.records.schema import NewerSchemaError, Record, read_record
from perfkit.records.under_way import abandoned_records, adopting, settle

PATTERN = "records-*.jsonl"

PROBE_BYTES = 4096
"""Written to see whether there is room: the smallest block of common file systems."""


class Store:
    """Records in a folder.

    Every writer appends to a file of its own, flushed and synced a line, so that hosts may share
    the folder on a file system that locks badly, and a crash costs at most a torn last line.

    Parameters
    ----------
    folder
        Created if need be.

    Raises
    ------
    UserError
        The folder cannot be created or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ensure_writable(folder)
        self._file = folder / f"records-{socket.gethostname()}-{os.getpid()}.jsonl"
        self._adopt()

    def append(self, record: Record) -> None:
        """Keep a record; it is on disk when this returns.

        Raises
        ------
        UserError
            It cannot be written; the records before it are as they were.
        """
        line = (record.model_dump_json() + "\n").encode()
        try:
            # Without a buffer, which would write the rest of a line when it is closed.
            with self._file.open("ab", buffering=0) as stream:
                begin = stream.tell()
                # A writer that was killed may have had this name and left half a line.
                torn = begin > 0 and not _ends_with_newline(self._file)
                try:
                    left = memoryview(b"\n" + line if torn else line)
                    while left:
                        left = left[stream.write(left) :]
                    os.fsync(stream.fileno())
                except OSError:
                    # A full disk takes part of a line.
                    with contextlib.suppress(OSError):
                        os.truncate(self._file, begin)
                    raise
        except OSError as error:
            raise UserError(
                f"the record of trial {record.id} cannot be written to {self._file} "
                f"({error.strerror}); make room or name another folder, and run the command again"
            ) from error
        settle(self.folder, record.id)

    def _adopt(self) -> None:
        """Keep what trials had measured whose perfkit was killed."""
        with adopting(self.folder) as abandoned:
            if not abandoned:
                return
            known = {record.id for record in _stored(self.folder).records}
            for record in abandoned:
                if record.id not in known:
                    self.append(record)

    def records(self) -> list[Record]:
        """All records of all writers, oldest first."""
        return read_records(self.folder)


def ensure_writable(folder: Path) -> None:
    """Create a folder for results and make sure that it can be written.

    Raises
    ------
    UserError
        It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".perfkit-{os.getpid()}"
        try:
            # A full disk still takes an empty file.
            probe.write_bytes(b"\0" * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"the output folder {folder} cannot be written ({error.strerror})"
        ) from error


@dataclass(frozen=True)
class Skipped:
    """A line, or a whole file, that is no record.

    Attributes
    ----------
    file
        Name of the file.
    line
        Number of the line, from 1; None for the whole file.
    reason
        Why it cannot be read.
    """

    file: str
    line: int | None
    reason: str

    def sentence(self) -> str:
        """What was skipped and why."""
        if self.line is None:
            return f"{self.file}: not a file of records, skipped ({self.reason})"
        return f"{self.file}, line {self.line}: not a whole record, skipped ({self.reason})"


@dataclass(frozen=True)
class Reading:
    """What a folder holds: its records, oldest first, and what could not be read."""

    records: tuple[Record, ...]
    skipped: tuple[Skipped, ...]


def read_folder(folder: Path) -> Reading:
    """All records below ``folder``, and what in its files is no record.

    Raises
    ------
    UserError
        The folder does not exist, or all that it holds was written by a newer perfkit.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to read records from")
    stored = _stored(folder)
    known = {record.id for record in stored.records}
    records = [*stored.records, *abandoned_records(folder, known)]
    if stored.newer is not None and not records:
        raise stored.newer
    return Reading(tuple(sorted(records, key=lambda one: one.created)), stored.skipped)


@dataclass(frozen=True)
class _Stored:
    """What the files of finished trials hold, in their order."""

    records: tuple[Record, ...]
    skipped: tuple[Skipped, ...]
    newer: NewerSchemaError | None


def _stored(folder: Path) -> _Stored:
    """The records of trials that have come to their end."""
    records: list[Record] = []
    skipped: list[Skipped] = []
    newer: NewerSchemaError | None = None
    for path in sorted(folder.glob(PATTERN)):
        try:
            # Only a newline ends a record: str.splitlines knows a dozen more that JSON may hold.
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            skipped.append(Skipped(path.name, None, fault_of(error)))
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                records.append(read_record(json.loads(line)))
            except NewerSchemaError as error:
                newer = error
                skipped.append(Skipped(path.name, number, str(error)))
            except (ValueError, RecursionError) as error:
                skipped.append(Skipped(path.name, number, fault_of(error)))
    return _Stored(tuple(records), tuple(skipped), newer)


def read_records(folder: Path) -> list[Record]:
    """All records below ``folder``, oldest first.

    A last line that a crash tore, or any other line that is no record, is skipped with a warning.

    Raises
    ------
    UserError
        The folder does not exist, or all that it holds was written by a newer perfkit.
    """
    reading = read_folder(folder)
    for one in reading.skipped:
        warnings.warn(printable(one.sentence()), stacklevel=2)
    return list(reading.records)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"

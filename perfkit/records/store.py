"""The store: a folder of append-only files of records, one file per writer."""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.printable import printable
from perfkit.records.collecting import paused_collection
from perfkit.records.journal import abandoned_records, adopting, remove_journal
from perfkit.records.reading import read_line
from perfkit.records.reason import fault_of
from perfkit.records.schema import Record
from perfkit.records.upgrades import NewerSchemaError

PATTERN = "records-*.jsonl"

PROBE_BYTES = 4096
"""Size of a trial write that shows free space: the smallest block of common file systems."""


class Store:
    """Records in a folder.

    Each writer appends to its own file and syncs each line to disk. Hosts may thus share the folder
    on a file system with unreliable locks, and a crash tears at most the last line.

    Opening a store also stores the records of abandoned journals, see
    :mod:`perfkit.records.journal`.

    Parameters
    ----------
    folder
        Folder of the store; created if it does not exist.

    Raises
    ------
    UserError
        The folder cannot be created or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ensure_writable(folder)
        self._has_written = False
        self._file = folder / f"records-{socket.gethostname()}-{os.getpid()}.jsonl"
        self._adopt()

    def append(self, record: Record) -> None:
        """Append a record; it is on disk when this returns.

        Raises
        ------
        UserError
            The record cannot be written, and earlier records are unchanged; or the earlier records
            were deleted meanwhile.
        """
        if self._has_written and not self._file.exists():
            raise UserError(
                f"the file {self._file} was deleted while perfkit ran, so that the record of trial "
                f"{record.id} is not kept either; run the command again"
            )
        line = (record.model_dump_json() + "\n").encode()
        try:
            # Unbuffered: a buffer would write the rest of a failed line when the file is closed.
            with self._file.open("ab", buffering=0) as stream:
                begin = stream.tell()
                # A killed writer with the same process id may have left half a line.
                torn = begin > 0 and not _ends_with_newline(self._file)
                try:
                    left = memoryview(b"\n" + line if torn else line)
                    while left:
                        left = left[stream.write(left) :]
                    os.fsync(stream.fileno())
                except OSError:
                    # A full disk accepts part of a line.
                    with contextlib.suppress(OSError):
                        os.truncate(self._file, begin)
                    raise
        except OSError as error:
            raise UserError(
                f"the record of trial {record.id} cannot be written to {self._file} "
                f"({error.strerror}); make room or name another folder, and run the command again"
            ) from error
        self._has_written = True
        remove_journal(self.folder, record.id)

    def _adopt(self) -> None:
        """Store the records of trials whose process was killed."""
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
    """Create a folder for results if necessary, and make sure that it can be written.

    Raises
    ------
    UserError
        The folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".perfkit-{os.getpid()}"
        try:
            # A full disk still accepts an empty file.
            probe.write_bytes(b"\0" * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"the output folder {folder} cannot be written ({error.strerror}); name another folder"
        ) from error


@dataclass(frozen=True)
class Skipped:
    """A line, or a whole file, that holds no record.

    Attributes
    ----------
    file
        Name of the file.
    line
        Number of the line, from 1; None for the whole file.
    reason
        Why the line or file cannot be read.
    """

    file: str
    line: int | None
    reason: str

    def sentence(self) -> str:
        """One sentence with the position and the reason."""
        if self.line is None:
            return f"{self.file}: not a file of records, skipped ({self.reason})"
        return f"{self.file}, line {self.line}: not a whole record, skipped ({self.reason})"


@dataclass(frozen=True)
class Reading:
    """Contents of a folder.

    Attributes
    ----------
    records
        Records, oldest first.
    skipped
        Lines and files that hold no record.
    """

    records: tuple[Record, ...]
    skipped: tuple[Skipped, ...]


def read_folder(folder: Path) -> Reading:
    """Read all records in a folder, including those of abandoned journals.

    Parameters
    ----------
    folder
        Folder of a store.

    Raises
    ------
    UserError
        The folder does not exist, or a newer perfkit wrote all of its records.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to read records from")
    stored = _stored(folder)
    known = {record.id for record in stored.records}
    records = [*stored.records, *abandoned_records(folder, known)]
    if stored.newer is not None and not records:
        raise stored.newer
    return Reading(tuple(sorted(records, key=lambda record: record.created)), stored.skipped)


@dataclass(frozen=True)
class _Stored:
    """Contents of the files of finished trials, in the order of the files."""

    records: tuple[Record, ...]
    skipped: tuple[Skipped, ...]
    newer: NewerSchemaError | None


@paused_collection()
def _stored(folder: Path) -> _Stored:
    """Read the files of finished trials."""
    records: list[Record] = []
    skipped: list[Skipped] = []
    newer: NewerSchemaError | None = None
    for path in sorted(folder.glob(PATTERN)):
        try:
            # Only a newline ends a record; str.splitlines also splits at characters that JSON
            # texts may hold.
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            skipped.append(Skipped(path.name, None, fault_of(error)))
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                records.append(read_line(line))
            except NewerSchemaError as error:
                newer = error
                skipped.append(Skipped(path.name, number, str(error)))
            except (ValueError, RecursionError) as error:
                skipped.append(Skipped(path.name, number, fault_of(error)))
    return _Stored(tuple(records), tuple(skipped), newer)


def read_records(folder: Path) -> list[Record]:
    """Records of :func:`read_folder`, oldest first, with a warning for each skipped line.

    Skipped lines hold no record, e.g. a last line that a crash tore.
    """
    reading = read_folder(folder)
    for skipped in reading.skipped:
        warnings.warn(printable(skipped.sentence()), stacklevel=2)
    return list(reading.records)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"

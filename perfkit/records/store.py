"""The store: a folder of append-only files of records, one file a writer."""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from perfkit.errors import UserError
from perfkit.records.schema import Record, read_record
from perfkit.records.under_way import abandoned_records, adopting, settle

PATTERN = "records-*.jsonl"


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
        """Keep a record; it is on disk when this returns."""
        with self._file.open("a", encoding="utf-8") as stream:
            # A writer that was killed may have had this name and left half a line.
            torn = stream.tell() > 0 and not _ends_with_newline(self._file)
            stream.write(("\n" if torn else "") + record.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        settle(self.folder, record.id)

    def _adopt(self) -> None:
        """Keep what trials had measured whose perfkit was killed."""
        with adopting(self.folder) as abandoned:
            if not abandoned:
                return
            known = {record.id for record in _stored_records(self.folder)}
            for record in abandoned:
                if record.id not in known:
                    self.append(record)

    def records(self) -> list[Record]:
        """All records of all writers, oldest first."""
        return read_records(self.folder)


def ensure_writable(folder: Path) -> None:
    """Create a folder for results and try that it can be written.

    Raises
    ------
    UserError
        It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".perfkit-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"the output folder {folder} cannot be written ({error.strerror})"
        ) from error


def read_records(folder: Path) -> list[Record]:
    """All records below ``folder``, oldest first.

    A last line that a crash tore, or any other line that is no record, is skipped with a warning.

    Raises
    ------
    UserError
        The folder does not exist, or a record is of a newer schema.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to read records from")
    found = _stored_records(folder)
    found += abandoned_records(folder, {record.id for record in found})
    return sorted(found, key=lambda record: record.created)


def _stored_records(folder: Path) -> list[Record]:
    return [record for path in sorted(folder.glob(PATTERN)) for record in _read_file(path)]


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _read_file(path: Path) -> Iterator[Record]:
    # Only a newline ends a record: str.splitlines knows a dozen more that JSON text may hold.
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield read_record(json.loads(line))
        except (json.JSONDecodeError, ValidationError):
            warnings.warn(f"{path.name}, line {number}: not a whole record, skipped", stacklevel=2)

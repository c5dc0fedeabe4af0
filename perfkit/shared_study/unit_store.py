"""A store of the records of one unit, which are committed together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.records.schema import Record
from perfkit.records.store import Store


class UnitStore(Store):
    """A store that keeps the records of a unit in memory until they are committed.

    It adopts no journals: those of other workers belong to trials that run.

    Parameters
    ----------
    folder
        Folder of the study.
    known
        Records of other units that the store shows. Without any, a unit is measured whole.
    """

    def __init__(self, folder: Path, known: Sequence[Record] = ()) -> None:
        self.folder = folder
        self._known = tuple(known)
        self._kept: list[Record] = []

    def append(self, record: Record) -> None:
        """Keep a record."""
        self._kept.append(record)

    def records(self) -> list[Record]:
        """The known records, then those of this unit so far."""
        return [*self._known, *self._kept]

    def kept(self) -> list[Record]:
        """The records of this unit so far."""
        return list(self._kept)

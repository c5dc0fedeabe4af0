"""The records of one study, which the store is read for once."""

from __future__ import annotations

from perfkit.records.schema import Record
from perfkit.records.store import Store


class StudyRecords:
    """The records of a study: those that the store had, and those that were kept since.

    Reading a store takes longer than a pass of a small program. What other processes store
    meanwhile is seen after :meth:`read_again` only.

    Parameters
    ----------
    store
        The store.
    study
        Digest of the study.
    """

    def __init__(self, store: Store, study: str) -> None:
        self._store = store
        self._study = study
        self._known: list[Record] | None = None

    def all(self) -> list[Record]:
        """The records, oldest first."""
        if self._known is None:
            self._known = [one for one in self._store.records() if one.study == self._study]
        return list(self._known)

    def keep(self, record: Record) -> None:
        """Store a record of the study."""
        self._store.append(record)
        if self._known is not None:
            self._known.append(record)

    def read_again(self) -> None:
        """Read the store for the next answer: others have stored records of the study."""
        self._known = None

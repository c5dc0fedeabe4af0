"""A shared study as its workers and its followers see it: open units, leases and records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.files import reason_of, remove, write_whole
from perfkit.records.journal import PATTERN as JOURNALS
from perfkit.records.journal import remove_journal
from perfkit.records.reason import fault_of
from perfkit.records.schema import Record
from perfkit.records.upgrades import read_record
from perfkit.shared_study.exclusive import create, names_in
from perfkit.shared_study.leases import (
    HeldLease,
    Lease,
    Leases,
    Silence,
    Worker,
    lease_numbers,
)
from perfkit.shared_study.notes import Notes
from perfkit.shared_study.plan import Unit, read_plan

SHARING = "sharing"
"""Folder below that of the study for everything that is not a record."""

RECORDS_PREFIX, RECORDS_SUFFIX = "records-unit-", ".jsonl"
"""The file of a unit's records is one of those that a store consists of."""

GIVEN_UP_SUFFIX = ".given-up"

UNITS = "units"
"""Folder of the units that workers have found as they went, below that of the leases."""

FAILED_PREFIX = "failed: "
"""Begin of the reason of a lease that was released because the unit could not be run."""


@dataclass(frozen=True)
class Claim:
    """A unit that this process has taken.

    Attributes
    ----------
    unit
        The unit.
    lease
        Its lease.
    """

    unit: Unit
    lease: HeldLease


@dataclass(frozen=True)
class Listing:
    """What the names in the folders of a study say. They are listed once for many decisions.

    Attributes
    ----------
    finished
        Keys of the units whose records are committed.
    given_up
        Keys of the units that were given up.
    numbers
        Numbers of the leases by unit, ascending.
    """

    finished: frozenset[str]
    given_up: frozenset[str]
    numbers: Mapping[str, Sequence[int]]

    @property
    def closed(self) -> frozenset[str]:
        """Keys of the units that are not open."""
        return self.finished | self.given_up


class SharedStudy:
    """A shared study.

    Parameters
    ----------
    folder
        Folder of the study, which holds a plan.

    Attributes
    ----------
    plan
        The plan.
    sharing
        Folder of leases and notes.
    leases
        The leases of the units.
    notes
        The notes of workers and submitters.

    Raises
    ------
    UserError
        The folder holds no plan, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_plan(folder)
        self.sharing = folder / SHARING
        try:
            self.sharing.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.sharing} cannot be created ({reason_of(error)}): workers need to write to "
                "the folder of the study"
            ) from error
        self.leases = Leases(self.sharing)
        self.notes = Notes(self.sharing)
        self._known: dict[str, list[Record]] = {}
        self._noted: dict[str, tuple[float, Unit]] = {}

    @property
    def logs(self) -> Path:
        """Folder for the logs of workers."""
        return self.sharing / "logs"

    # -- units --------------------------------------------------------------------------------

    def finished(self) -> set[str]:
        """Keys of the units whose records are committed."""
        return {
            name.removeprefix(RECORDS_PREFIX).removesuffix(RECORDS_SUFFIX)
            for name in names_in(self.folder)
            if name.startswith(RECORDS_PREFIX) and name.endswith(RECORDS_SUFFIX)
        }

    def given_up(self) -> dict[str, str]:
        """The reason by key of each unit that was given up."""
        return {
            path.name.removesuffix(GIVEN_UP_SUFFIX): path.read_text("utf-8", "replace").strip()
            for path in self.sharing.glob(f"*{GIVEN_UP_SUFFIX}")
        }

    def listing(self) -> Listing:
        """List the folders of the study.

        Raises
        ------
        OSError
            A folder cannot be read or written.
        """
        names = names_in(self.sharing)
        # Leases are listed first: a unit that is finished in between has both.
        return Listing(
            frozenset(self.finished()),
            frozenset(
                name.removesuffix(GIVEN_UP_SUFFIX)
                for name in names
                if name.endswith(GIVEN_UP_SUFFIX)
            ),
            lease_numbers(names),
        )

    def open_units(self, listing: Listing | None = None) -> list[Unit]:
        """Units of the plan that are neither finished nor given up, in their order."""
        closed = (self.listing() if listing is None else listing).closed
        return [unit for unit in self.plan.units if unit.key not in closed]

    def found_units(self) -> list[Unit]:
        """Units that workers have found as they went, oldest first."""
        folder = self.sharing / UNITS
        for name in names_in(folder) if folder.exists() else []:
            if not name.endswith(".json") or name in self._noted:
                continue
            path = folder / name
            with suppress(OSError, ValueError, RecursionError):
                unit = Unit.model_validate_json(path.read_bytes())
                self._noted[name] = path.stat().st_mtime, unit
        ordered = sorted(self._noted.values(), key=lambda noted: (noted[0], noted[1].key))
        return [unit for _, unit in ordered]

    def is_held(self, unit: Unit, silence: Silence, listing: Listing) -> bool:
        """Whether a worker holds a unit and shows signs of life."""
        newest = self._newest(unit, listing)
        return (
            newest is not None
            and newest.released is None
            and silence.of(newest) <= self.plan.lease_s
        )

    def claim(
        self, unit: Unit, worker: Worker, silence: Silence, listing: Listing | None = None
    ) -> Claim | None:
        """Take a unit, unless another worker holds it, has finished it, or it is given up.

        Parameters
        ----------
        unit
            The unit, of the plan or of a worker's own.
        worker
            This process.
        silence
            How long leases have been silent. It belongs to this process and is kept between calls.
        listing
            A listing of the study, by default a new one. An old one costs an attempt at most: the
            lease that it suggests has been taken.

        Raises
        ------
        OSError
            The folder cannot be read or written.
        """
        listing = self.listing() if listing is None else listing
        newest = self._newest(unit, listing)
        if newest is not None:
            if self.is_held(unit, silence, listing):
                return None
            if self._is_hopeless(unit.key, listing.numbers[unit.key]):
                return None
            if newest.released is None and newest.worker is not None:
                self.drop_journals(newest.worker)
        number = newest.number + 1 if newest is not None else 1
        lease = self.leases.take(unit.key, number, worker)
        if lease is None:
            return None
        # The names that the choice was made by may have been those of a cache.
        if unit.key in self.listing().closed:
            lease.release("finished by another worker")
            return None
        if unit.detail is not None:
            note = self.sharing / UNITS / f"{unit.key}.json"
            note.parent.mkdir(exist_ok=True)
            create(note, (unit.model_dump_json() + "\n").encode())
        return Claim(unit, lease)

    def _newest(self, unit: Unit, listing: Listing) -> Lease | None:
        numbers = listing.numbers.get(unit.key)
        return self.leases.read(unit.key, numbers[-1]) if numbers else None

    def commit(self, claim: Claim, records: Sequence[Record]) -> bool:
        """Make records those of a unit; False if the unit was lost to another worker.

        Records of a worker that lost its lease are dropped: it was suspended, or the folder was
        out of reach, and the unit is measured again.

        Parameters
        ----------
        claim
            The unit.
        records
            All of its records.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        path = self._records_file(claim.unit.key)
        content = "".join(record.model_dump_json() + "\n" for record in records)
        kept = not claim.lease.is_lost() and create(path, content.encode())
        for record in records:
            remove_journal(self.folder, record.id)
        return kept

    def records_of(self, unit: Unit) -> list[Record]:
        """Records of a finished unit, which never change.

        Raises
        ------
        UserError
            The file is damaged, or a newer perfkit wrote it.
        """
        if unit.key not in self._known:
            path = self._records_file(unit.key)
            try:
                lines = path.read_text("utf-8").split("\n")
                self._known[unit.key] = [read_record(json.loads(line)) for line in lines if line]
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"the records of a unit in {path} cannot be read ({fault_of(error)}): delete "
                    "the file, and the unit is measured again"
                ) from error
        return list(self._known[unit.key])

    def records(self, listing: Listing | None = None) -> list[Record]:
        """Records of all finished units, of those that others needed too; oldest first.

        Parameters
        ----------
        listing
            Which units are finished; by default a new look at the folder.
        """
        found: list[Record] = []
        for key in self.finished() if listing is None else listing.finished:
            found += self.records_of(Unit(key=key, label=""))
        return sorted(found, key=lambda record: record.created)

    def drop_journals(self, worker: Worker) -> None:
        """Remove the journals of a worker that left a unit: it is measured again from the start."""
        for path in self.folder.glob(JOURNALS):
            with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                with path.open("rb") as stream:
                    writer = json.loads(stream.readline())["writer"]
                if (writer["host"], writer["pid"]) == (worker.host, worker.pid):
                    path.unlink()

    def _records_file(self, key: str) -> Path:
        return self.folder / f"{RECORDS_PREFIX}{key}{RECORDS_SUFFIX}"

    def _is_hopeless(self, key: str, numbers: Sequence[int]) -> bool:
        """Give a free unit up if too many workers were lost during it, or failed to run it."""
        leases = [self.leases.read(key, number) for number in numbers]
        spoilt = [
            lease
            for lease in leases
            if lease.released is None or lease.released.startswith(FAILED_PREFIX)
        ]
        if len(spoilt) < self.plan.most_lost:
            return False
        last = spoilt[-1]
        where = "" if last.worker is None else f" on {last.worker.place}"
        reason = last.released or f"the worker{where} was lost during it"
        reason = f"given up after {len(spoilt)} attempts; the last one: {reason}\n"
        create(self.sharing / f"{key}{GIVEN_UP_SUFFIX}", reason.encode())
        return True

    # -- the end -------------------------------------------------------------------------------

    @property
    def _cancelled(self) -> Path:
        return self.sharing / "cancelled"

    @property
    def cancelled(self) -> bool:
        """Whether no further unit is to be begun."""
        return self._cancelled.exists()

    def cancel(self) -> None:
        """Let the workers begin no further unit."""
        write_whole(self._cancelled, "", "mark of a cancelled study")

    def resume(self) -> None:
        """Let workers begin units again."""
        remove(self._cancelled)

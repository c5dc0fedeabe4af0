"""Finds where the first bad value arose in a trial that ended ``nonfinite``."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.diagnose.locate.workload import Locate, SearchResult, locate_in_workload
from perfkit.errors import UserError, unknown_name
from perfkit.files import write_whole
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records
from perfkit.trial.messages import GUARD_OFF
from perfkit.units import cut

LOCATED_FILE = "located.json"
"""File in the folder of a trial with the result of the search."""


def find_record(folder: Path, record_id: str) -> Record:
    """Return the record with the given id from a folder of records.

    Raises
    ------
    UserError
        The folder has no such record.
    """
    records = {record.id: record for record in read_records(folder)}
    if record_id not in records:
        if not records:
            raise UserError(f"there are no records in {folder}")
        raise unknown_name("record", record_id, tuple(records))
    return records[record_id]


def locate_in_record(record: Record, locate: Locate = locate_in_workload) -> SearchResult:
    """Search the prediction of a record, under its configuration and its mode of the guard.

    Parameters
    ----------
    record
        The record.
    locate
        Searches a workload.

    Raises
    ------
    UserError
        The input of the record has changed, or cannot be made again.
    """
    model = get_model(record.workload.model)
    try:
        workload = Workload.from_dict(record.workload.model_dump())
        today = model.workload(workload.source, workload.fidelity)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # Options of a command are checked before they get into a record.
        raise UserError(
            f"the workload of record {record.id} cannot be made again: {cut(str(error))}"
        ) from error
    if today.digest != workload.digest:
        raise UserError(
            f"the input of record {record.id} ({workload.name}) has changed since it was run: "
            "restore the input, or run it again"
        )
    settings = record.configuration.settings
    configuration = Catalogue(model.knobs).configuration(settings)
    guard = GUARD_OFF if record.guard is None else record.guard.mode
    return locate(workload, configuration, guard)


def with_location(record: Record, folder: Path, locate: Locate = locate_in_workload) -> Record:
    """Return a record that ended ``nonfinite`` with the location of its first bad value.

    The location is added to the reason of the record, and is written to :data:`LOCATED_FILE` in
    the folder of the trial. Any other record is returned unchanged.

    Parameters
    ----------
    record
        Record of a trial.
    folder
        Folder of the store that holds the trial.
    locate
        Searches a workload.
    """
    if record.outcome is not Outcome.NONFINITE:
        return record
    result = locate_in_record(record, locate)
    path = folder / "trials" / record.id / LOCATED_FILE
    write_whole(path, json.dumps(result.as_dict(), indent=2) + "\n", "location of the bad value")
    reason = "; ".join([record.reason, *result.sentences()])
    artifacts = {**record.artifacts, LOCATED_FILE: str(path.relative_to(folder))}
    return record.model_copy(update={"reason": reason, "artifacts": artifacts})

"""Searches a trial that ended ``nonfinite`` for where the first bad value arose."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.diagnose.locate_model import Located, locate_in_child
from perfkit.errors import UserError, unknown_name
from perfkit.files import write_whole
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.environment import child_environment
from perfkit.models import get_model
from perfkit.models.base import Workload
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records
from perfkit.trial.messages import GUARD_OFF

LOCATED = "located.json"
"""The file in a trial's folder that says where its first bad value arose."""


def find_record(folder: Path, wanted: str) -> Record:
    """The record with the id ``wanted`` in a folder.

    Raises
    ------
    UserError
        There is none.
    """
    records = {record.id: record for record in read_records(folder)}
    if wanted not in records:
        if not records:
            raise UserError(f"there are no records in {folder}")
        raise unknown_name("record", wanted, tuple(records))
    return records[wanted]


def locate_again(record: Record) -> Located:
    """Search the prediction of a record, as it was configured and guarded.

    Raises
    ------
    UserError
        The record's input is not what it was.
    """
    model = get_model(record.workload.model)
    workload = Workload.from_dict(record.workload.model_dump())
    today = model.workload(workload.source, workload.fidelity)
    if today.digest != workload.digest:
        raise UserError(
            f"the input of record {record.id} ({workload.name}) has changed since it was run"
        )
    settings = record.configuration.settings
    configuration = Catalogue(model.knobs).configuration(settings)
    guard = GUARD_OFF if record.guard is None else record.guard.mode
    return locate(workload, configuration, guard)


def locate(workload: Workload, configuration: Configuration, guard: str) -> Located:
    """Search a workload under a configuration, in a process of its own."""
    return locate_in_child(
        workload.as_dict(),
        configuration.overrides(),
        child_environment(configuration),
        configuration.affinity(),
        guard,
    )


def with_location(record: Record, folder: Path) -> Record:
    """A record that ended ``nonfinite``, with where that arose; any other as it is.

    Parameters
    ----------
    record
        Of a trial in ``folder``.
    folder
        The store's folder; what was found is left in the trial's own folder.
    """
    if record.outcome is not Outcome.NONFINITE:
        return record
    located = locate_again(record)
    path = folder / "trials" / record.id / LOCATED
    write_whole(path, json.dumps(located.as_dict(), indent=2) + "\n", "location of the bad value")
    reason = "; ".join([record.reason, *located.sentences()])
    artifacts = {**record.artifacts, LOCATED: str(path.relative_to(folder))}
    return record.model_copy(update={"reason": reason, "artifacts": artifacts})

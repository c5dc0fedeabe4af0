"""A folder of records as a snapshot: times, memory and answers of each configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from perfkit.errors import UserError
from perfkit.history.snapshot import Entry, Kind, Snapshot, entry_of_samples
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records

TIMED_STAGES = ("trace", "compile", "first", "steady")

_MACHINE = ("host", "cpu", "logical_cpus", "memory_bytes", "kernel", "governor")
_VERSIONS = ("python", "jax", "jaxlib", "alphafold3", "alphafold3-colabfold", "weathernext")


def snapshot_of_records(folder: Path) -> Snapshot:
    """All finished trials below ``folder``, those of one workload and configuration together.

    Raises
    ------
    UserError
        There is no such folder, or it holds no finished trial.
    """
    records = [one for one in read_records(folder) if one.outcome is not Outcome.INTERRUPTED]
    if not records:
        raise UserError(f"{folder} holds no records of finished trials to compare")
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[_subject(record)].append(record)
    entries = {entry.name: entry for name, own in groups.items() for entry in _entries(name, own)}
    return Snapshot(str(folder), _setting(records), entries)


def _subject(record: Record) -> str:
    fidelity = " ".join(f"{name} {value}" for name, value in record.workload.fidelity.items())
    return (
        f"{record.workload.model} {record.workload.name} ({record.workload.size}; {fidelity}) "
        f"[{record.configuration.label}]"
    )


def _setting(records: Sequence[Record]) -> dict[str, str]:
    """What all have in common, or all values of what they have not."""
    told = {}
    for kind, names in (("machine", _MACHINE), ("versions", _VERSIONS)):
        for name in names:
            values = sorted({str(getattr(one, kind).get(name) or "") for one in records} - {""})
            if values:
                told[name] = " and ".join(values)
    told["CPUs used"] = " and ".join(sorted({str(one.allowed_cpus) for one in records}))
    return told


def _entries(subject: str, records: Sequence[Record]) -> Iterator[Entry]:
    failed = [one for one in records if one.outcome is not Outcome.OK]
    right = [one for one in records if one.outcome is Outcome.OK]
    version = records[-1].workload.digest
    if not right:
        reason = f"{failed[-1].outcome}: {failed[-1].reason}"
        yield Entry(f"{subject} steady", Kind.TIME, "seconds", None, version=version, reason=reason)
        return
    for stage in TIMED_STAGES:
        groups = [[s.wall_s for s in one.stages if s.name == stage] for one in right]
        if any(groups):
            yield entry_of_samples(f"{subject} {stage}", Kind.TIME, "seconds", groups, version)
    peaks = [[float(one.peak_rss_bytes)] for one in right]
    yield entry_of_samples(f"{subject} peak memory", Kind.MEMORY, "bytes", peaks, version)
    compiled = [[float(c.temporary_bytes)] for one in right if (c := one.compilation)]
    if compiled:
        name = f"{subject} XLA temporary memory"
        yield entry_of_samples(name, Kind.MEMORY, "bytes", compiled, version)
    yield from _answers(subject, right, version)


def _answers(subject: str, records: Sequence[Record], version: str) -> Iterator[Entry]:
    distances: dict[str, list[float]] = defaultdict(list)
    for record in records:
        for quantity in (record.agreement or {}).get("quantities", []):
            if quantity["distance"] is not None:
                distances[quantity["name"]].append(quantity["distance"])
    for quantity, found in distances.items():
        name = f"{subject} distance of {quantity}"
        yield Entry(name, Kind.ANSWER, "relative distance", max(found), version=version)
    lifted = [one.guard["lifted"] for one in records if one.guard is not None]
    if lifted:
        name = f"{subject} guard lifts"
        yield Entry(name, Kind.ANSWER, "lifted operands", float(max(lifted)), version=version)

"""Two folders of records as snapshots: times, memory and answers, like with like alone.

Trials are pooled only where they did the same thing in the same circumstances: role, workload,
configuration, guard and CPUs (the *subject*), machine and versions (the *circumstances*). What a
person upgrades may differ between the folders, never within a pool.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from perfkit.errors import UserError
from perfkit.history.snapshot import Entry, Kind, Snapshot, entry_of_samples
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.records.store import Reading

SHARED_STAGES = (StageName.TRACE, StageName.COMPILE, StageName.FIRST)
"""Stages whose times are those of no trial alone where several were started together."""

_MACHINE = ("host", "cpu", "logical_cpus", "memory_bytes", "kernel", "governor")
_VERSIONS = ("python", "jax", "jaxlib", "alphafold3", "alphafold3-colabfold", "weathernext")
_WRONG = (Outcome.NONFINITE, Outcome.DISAGREES)


@dataclass(frozen=True)
class Subject:
    """What a trial did; trials of different subjects are never compared."""

    model: str
    name: str
    size: int
    fidelity: str
    label: str
    role: str
    guard: str
    cpus: int
    engine: str
    workload: str
    configuration: str

    def text(self) -> str:
        """For a person; digests and what is as usual are left out."""
        guarded = "" if self.guard == "off" else f", guard {self.guard}"
        cpus = f"{self.cpus} CPU{'s' if self.cpus != 1 else ''}"
        return (
            f"{self.model} {self.name} ({self.size}; {self.fidelity}) [{self.label}] "
            f"{self.role} on {cpus}{guarded}"
        )


@dataclass(frozen=True)
class Circumstances:
    """Where and with what a trial ran; equal ones are compared first."""

    machine: str
    versions: str


type _Groups = dict[Subject, dict[Circumstances, list[Record]]]


@dataclass(frozen=True)
class _Pair:
    """Records of one subject from both folders; empty where a folder has none."""

    name: str
    old: Sequence[Record]
    new: Sequence[Record]


def snapshots_of_records(
    old: tuple[str, Reading], new: tuple[str, Reading]
) -> tuple[Snapshot, Snapshot]:
    """All finished trials of two folders, entries of equal names being of like trials.

    Parameters
    ----------
    old, new
        What a person calls the folder, and what it holds.

    Raises
    ------
    UserError
        A folder holds no finished trial.
    """
    before, after = (_finished(*one) for one in (old, new))
    pairs = list(_pairs(_grouped(before), _grouped(after)))
    return (
        _snapshot(old[0], before, [(one.name, *_sides(one.old, one.new)) for one in pairs]),
        _snapshot(new[0], after, [(one.name, *_sides(one.new, one.old)) for one in pairs]),
    )


def _finished(label: str, reading: Reading) -> list[Record]:
    records = [one for one in reading.records if one.outcome is not Outcome.INTERRUPTED]
    if not records:
        raise UserError(f"{label} holds no records of finished trials to compare")
    return records


def _grouped(records: Iterable[Record]) -> _Groups:
    groups: _Groups = defaultdict(lambda: defaultdict(list))
    for record in records:
        groups[_subject(record)][_circumstances(record)].append(record)
    return groups


def _subject(record: Record) -> Subject:
    workload, configuration = record.workload, record.configuration
    return Subject(
        model=workload.model,
        name=workload.name,
        size=workload.size,
        fidelity=" ".join(f"{name} {value}" for name, value in workload.fidelity.items()),
        label=configuration.label,
        role=record.role,
        guard="off" if record.guard is None else record.guard.mode,
        cpus=record.allowed_cpus,
        engine=str(workload.source.get("engine", "")),
        workload=workload.digest,
        configuration=configuration.digest,
    )


def _circumstances(record: Record) -> Circumstances:
    versions = [f"{name} {record.versions[name]}" for name in _VERSIONS if _version(record, name)]
    return Circumstances(_place(record), ", ".join(versions))


def _version(record: Record, name: str) -> str:
    return record.versions.get(name) or ""


def _place(record: Record) -> str:
    """The kind of machine: machines of one kind take equally long."""
    machine = record.machine
    cpu = " ".join(filter(None, [machine.cpu, machine.cpu_family, machine.cpu_model]))
    sets = " ".join(machine.instruction_sets)
    return f"{cpu or 'unknown CPU'}, {machine.logical_cpus} CPUs, {sets}"


def _pairs(old: _Groups, new: _Groups) -> Iterator[_Pair]:
    texts: dict[str, int] = defaultdict(int)
    subjects = list(dict.fromkeys([*old, *new]))
    for subject in subjects:
        texts[subject.text()] += 1
    for subject in subjects:
        name = subject.text()
        if texts[name] > 1:
            digests = (subject.workload, subject.configuration, subject.engine)
            name += f" ({', '.join(filter(None, digests))})"
        yield from _pairs_of(name, old.get(subject, {}), new.get(subject, {}))


def _pairs_of(
    name: str,
    old: Mapping[Circumstances, list[Record]],
    new: Mapping[Circumstances, list[Record]],
) -> Iterator[_Pair]:
    """Equal circumstances together; different ones only where there is one of them a side."""
    both = list(dict.fromkeys([*old, *new]))
    if len(old) == len(new) == 1:
        (before,), (after,) = old.values(), new.values()
        yield _Pair(name, before, after)
        return
    for one in both:
        suffix = f" under {_what_differs(one, both)}" if len(both) > 1 else ""
        yield _Pair(name + suffix, old.get(one, ()), new.get(one, ()))


def _what_differs(one: Circumstances, among: Sequence[Circumstances]) -> str:
    return "; ".join(
        getattr(one, field.name)
        for field in fields(Circumstances)
        if len({getattr(other, field.name) for other in among}) > 1
    )


def _sides(own: Sequence[Record], other: Sequence[Record]) -> tuple[Sequence[Record], list[Record]]:
    """All own records, and those to measure by.

    A trial that is in both folders says nothing of a difference between them: it is left out
    where both have others, and where one has no others, only the shared ones are compared.
    """
    mine, theirs = ({one.model_dump_json() for one in side} for side in (own, other))
    shared = mine & theirs
    if not shared:
        return own, list(own)
    apart = mine > shared and theirs > shared
    return own, [one for one in own if (one.model_dump_json() in shared) is not apart]


def _snapshot(
    label: str,
    records: Sequence[Record],
    groups: Sequence[tuple[str, Sequence[Record], Sequence[Record]]],
) -> Snapshot:
    entries: dict[str, Entry] = {}
    answered = set()
    for name, own, measured in groups:
        if not own:
            continue
        speaks = _speaker(own)
        if speaks.outcome is Outcome.OK:
            answered.add(name)
        for entry in (_outcome(name, speaks), *_entries(name, measured)):
            entries[entry.name] = entry
    return Snapshot(label, _setting(records), entries, frozenset(answered))


def _setting(records: Sequence[Record]) -> dict[str, str]:
    """What all have in common, or all values of what they have not."""
    setting = {}
    for name in _MACHINE:
        setting[name] = _united(str(getattr(one.machine, name) or "") for one in records)
    for name in _VERSIONS:
        setting[name] = _united(_version(one, name) for one in records)
    setting["CPUs used"] = _united(str(one.allowed_cpus) for one in records)
    return {name: value for name, value in setting.items() if value}


def _united(values: Iterable[str]) -> str:
    return " and ".join(sorted(set(values) - {""}))


def _speaker(records: Sequence[Record]) -> Record:
    """The record that speaks for its group: a wrong answer before a good one before a failure.

    A crash that was followed by a good trial is no property of the configuration.
    """
    wrong = [one for one in records if one.outcome in _WRONG]
    good = [one for one in records if one.outcome is Outcome.OK]
    return [*reversed(wrong), *reversed(good), *reversed(records)][0]


def _outcome(subject: str, record: Record) -> Entry:
    good = record.outcome is Outcome.OK
    return Entry(
        f"{subject} outcome",
        Kind.ANSWER,
        "outcome",
        0.0 if good else None,
        reason="" if good else f"{record.outcome}: {record.reason}",
        subject=subject,
        shown=record.outcome.value,
    )


def _entries(subject: str, records: Sequence[Record]) -> Iterator[Entry]:
    right = [one for one in records if one.outcome is Outcome.OK]
    if not right:
        return
    place = _place(right[-1])
    for what, groups in _times(right).items():
        yield entry_of_samples(
            f"{subject} {what}",
            Kind.TIME,
            "seconds",
            groups,
            subject=subject,
            essential=what == StageName.STEADY,
            place=place,
        )
    for what, sizes in _sizes(right).items():
        yield entry_of_samples(
            f"{subject} {what}",
            Kind.MEMORY,
            "bytes",
            [[float(size)] for size in sizes],
            subject=subject,
            place=place,
        )
    yield from _answers(subject, right)


def _times(records: Sequence[Record]) -> dict[str, list[list[float]]]:
    """Wall seconds by stage, a group a trial; what is not alike has another name."""
    groups: dict[str, list[list[float]]] = defaultdict(list)
    for record in records:
        for stage in (*SHARED_STAGES, StageName.STEADY):
            walls = [one.wall_s for one in record.stages if one.name == stage]
            name = stage.value
            if stage is StageName.COMPILE and record.compilation is not None:
                cache = record.compilation.cache
                name += "" if cache == "off" else f" (cache {cache})"
            if stage in SHARED_STAGES and record.shared_start:
                name += " (started together)"
            if walls:
                groups[name].append(walls)
    return groups


def _sizes(records: Sequence[Record]) -> dict[str, list[int]]:
    sizes = {
        "peak memory": [one.peak_rss_bytes for one in records if one.peak_rss_bytes],
        "XLA temporary memory": [
            one.compilation.temporary_bytes for one in records if one.compilation is not None
        ],
    }
    return {name: values for name, values in sizes.items() if values}


def _answers(subject: str, records: Sequence[Record]) -> Iterator[Entry]:
    judged = [one.agreement for one in records if one.agreement is not None]
    if judged:
        loosest = max(AGREEMENT_NAMES.index(one.reached) for one in judged)
        yield _answer(subject, "agreement", "class", loosest, AGREEMENT_NAMES[loosest])
    distances: dict[str, list[float]] = defaultdict(list)
    for agreement in judged:
        for quantity in agreement.quantities:
            distance = math.nan if quantity.distance is None else quantity.distance
            distances[quantity.name].append(distance)
    for name, found in distances.items():
        # A distance that is no number once is none.
        worst = math.nan if any(map(math.isnan, found)) else max(found)
        yield _answer(subject, f"distance of {name}", "relative distance", worst)
    guards = [one.guard for one in records if one.guard is not None]
    if guards:
        unit = "operands"
        yield _answer(subject, "guard lifts", unit, max(one.lifted for one in guards))
        yield _answer(subject, "guard zeroes", unit, max(one.zeroed for one in guards))


def _answer(subject: str, what: str, unit: str, value: float, shown: str = "") -> Entry:
    return Entry(
        f"{subject} {what}",
        Kind.ANSWER,
        unit,
        float(value),
        subject=subject,
        essential=True,
        shown=shown,
    )

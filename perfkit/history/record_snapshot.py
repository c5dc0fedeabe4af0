"""Turn two folders of records into comparable snapshots of times, memory and answers.

Trials are pooled only if they have the same *subject* (role, workload, configuration, guard and
CPUs) and the same *circumstances* (machine and versions). Circumstances may differ between the two
folders, for example after an upgrade, but never within a pool.
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
from perfkit.units import count_text

SHARED_STAGES = (StageName.TRACE, StageName.COMPILE, StageName.FIRST)
"""Stages that slow each other down if several trials are started together."""

_MACHINE = ("host", "cpu", "logical_cpus", "memory_bytes", "kernel", "governor")
_VERSIONS = ("python", "jax", "jaxlib", "alphafold3", "alphafold3-colabfold", "weathernext")
_WRONG = (Outcome.NONFINITE, Outcome.DISAGREES)


@dataclass(frozen=True)
class Subject:
    """What a trial measured. Trials of different subjects are never compared.

    Attributes
    ----------
    model, name, size, fidelity
        The workload; ``fidelity`` as text.
    label
        Label of the configuration.
    role
        Role of the trial in its study.
    guard
        Mode of the domain guard, ``off`` without one.
    cpus
        Number of allowed CPUs.
    engine
        Engine of the model, empty if it has only one.
    workload, configuration
        Digests.
    """

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
        """Text for a reader, without digests and without a guard that is off."""
        guarded = "" if self.guard == "off" else f", guard {self.guard}"
        cpus = count_text(self.cpus, "CPU")
        # Of a foreign command the fidelity is not known.
        measured = "; ".join(filter(None, (str(self.size), self.fidelity)))
        return (
            f"{self.model} {self.name} ({measured}) [{self.label}] {self.role} on {cpus}{guarded}"
        )


@dataclass(frozen=True)
class Circumstances:
    """Machine and versions that a trial ran with.

    Attributes
    ----------
    machine
        Kind of machine.
    versions
        Versions of Python, jaxlib, the model package, ... as text.
    """

    machine: str
    versions: str


type _Groups = dict[Subject, dict[Circumstances, list[Record]]]


@dataclass(frozen=True)
class _Pair:
    """Records of one subject in each folder; empty for a folder that has none."""

    name: str
    old: Sequence[Record]
    new: Sequence[Record]


def snapshots_of_records(
    old: tuple[str, Reading], new: tuple[str, Reading]
) -> tuple[Snapshot, Snapshot]:
    """Turn the finished trials of two folders into snapshots.

    Entries of the two snapshots have the same name only if their trials are comparable.

    Parameters
    ----------
    old, new
        Label and content of each folder.

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
    records = [record for record in reading.records if record.outcome is not Outcome.INTERRUPTED]
    if not records:
        raise UserError(f"{label} holds no finished trials, so there is nothing to compare")
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
        fidelity=" ".join(
            [
                *(f"{name} {value}" for name, value in workload.fidelity.items()),
                *([] if workload.depth == "full" else [f"{workload.depth} network"]),
            ]
        ),
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
    return Circumstances(_hardware(record), ", ".join(versions))


def _version(record: Record, name: str) -> str:
    return record.versions.get(name) or ""


def _hardware(record: Record) -> str:
    """Kind of machine. Machines of one kind are equally fast."""
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
    """Pair equal circumstances; different ones only if each folder has a single one."""
    both = list(dict.fromkeys([*old, *new]))
    if len(old) == len(new) == 1:
        (before,), (after,) = old.values(), new.values()
        yield _Pair(name, before, after)
        return
    for one in both:
        suffix = f" under {_difference(one, both)}" if len(both) > 1 else ""
        yield _Pair(name + suffix, old.get(one, ()), new.get(one, ()))


def _difference(one: Circumstances, among: Sequence[Circumstances]) -> str:
    return "; ".join(
        getattr(one, field.name)
        for field in fields(Circumstances)
        if len({getattr(other, field.name) for other in among}) > 1
    )


def _sides(own: Sequence[Record], other: Sequence[Record]) -> tuple[Sequence[Record], list[Record]]:
    """All records of one folder, and those of them whose times and memory are compared.

    A trial that lies in both folders shows nothing about their difference. It is left out if both
    folders have further trials. Otherwise only the shared trials are compared.
    """
    own_lines, other_lines = (
        {record.model_dump_json() for record in side} for side in (own, other)
    )
    shared = own_lines & other_lines
    if not shared:
        return own, list(own)
    both_have_more = own_lines > shared and other_lines > shared
    return own, [
        record for record in own if (record.model_dump_json() in shared) is not both_have_more
    ]


def _snapshot(
    label: str,
    records: Sequence[Record],
    groups: Sequence[tuple[str, Sequence[Record], Sequence[Record]]],
) -> Snapshot:
    entries: dict[str, Entry] = {}
    completed = set()
    for name, own, measured in groups:
        if not own:
            continue
        record = _representative(own)
        if record.outcome is Outcome.OK:
            completed.add(name)
        for entry in (_outcome(name, record), *_entries(name, measured)):
            entries[entry.name] = entry
    return Snapshot(label, _metadata(records), entries, frozenset(completed))


def _metadata(records: Sequence[Record]) -> dict[str, str]:
    """Metadata of all records; several values of one item are joined."""
    metadata = {}
    for name in _MACHINE:
        metadata[name] = _joined(str(getattr(record.machine, name) or "") for record in records)
    for name in _VERSIONS:
        metadata[name] = _joined(_version(record, name) for record in records)
    metadata["CPUs used"] = _joined(str(record.allowed_cpus) for record in records)
    return {name: value for name, value in metadata.items() if value}


def _joined(values: Iterable[str]) -> str:
    return " and ".join(sorted(set(values) - {""}))


def _representative(records: Sequence[Record]) -> Record:
    """The record that decides the outcome: a wrong answer, else a success, else a failure.

    A crash next to a successful trial is not a property of the configuration.
    """
    wrong = [record for record in records if record.outcome in _WRONG]
    good = [record for record in records if record.outcome is Outcome.OK]
    return (wrong or good or records)[-1]


def _outcome(subject: str, record: Record) -> Entry:
    good = record.outcome is Outcome.OK
    return Entry(
        f"{subject} outcome",
        Kind.ANSWER,
        "outcome",
        0.0 if good else None,
        reason="" if good else f"{record.outcome}: {record.reason}",
        subject=subject,
        display=record.outcome.value,
    )


def _entries(subject: str, records: Sequence[Record]) -> Iterator[Entry]:
    good = [record for record in records if record.outcome is Outcome.OK]
    if not good:
        return
    hardware = _hardware(good[-1])
    for quantity, groups in _times(good).items():
        yield entry_of_samples(
            f"{subject} {quantity}",
            Kind.TIME,
            "seconds",
            groups,
            subject=subject,
            required=quantity == StageName.STEADY,
            hardware=hardware,
        )
    for quantity, sizes in _sizes(good).items():
        yield entry_of_samples(
            f"{subject} {quantity}",
            Kind.MEMORY,
            "bytes",
            [[float(size)] for size in sizes],
            subject=subject,
            hardware=hardware,
        )
    yield from _answers(subject, good)


def _times(records: Sequence[Record]) -> dict[str, list[list[float]]]:
    """Wall seconds by stage, one group per trial; incomparable stages get different names."""
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
            if record.shared_process:
                name += " (shared process)"
            if walls:
                groups[name].append(walls)
    return groups


def _sizes(records: Sequence[Record]) -> dict[str, list[int]]:
    sizes = {
        # A shared process also holds the programs of other configurations.
        "peak memory": [
            record.peak_rss_bytes
            for record in records
            if record.peak_rss_bytes and not record.shared_process
        ],
        "XLA temporary memory": [
            record.compilation.temporary_bytes
            for record in records
            if record.compilation is not None
        ],
    }
    return {name: values for name, values in sizes.items() if values}


def _answers(subject: str, records: Sequence[Record]) -> Iterator[Entry]:
    judged = [record.agreement for record in records if record.agreement is not None]
    if judged:
        loosest = max(AGREEMENT_NAMES.index(agreement.reached) for agreement in judged)
        yield _answer(subject, "agreement", "class", loosest, AGREEMENT_NAMES[loosest])
    distances: dict[str, list[float]] = defaultdict(list)
    for agreement in judged:
        for quantity in agreement.quantities:
            distance = math.nan if quantity.distance is None else quantity.distance
            distances[quantity.name].append(distance)
    for name, found in distances.items():
        # One NaN makes the whole quantity NaN.
        worst = math.nan if any(map(math.isnan, found)) else max(found)
        yield _answer(subject, f"distance of {name}", "relative distance", worst)
    guards = [record.guard for record in records if record.guard is not None]
    if guards:
        unit = "operands"
        yield _answer(subject, "guard lifts", unit, max(guard.lifted for guard in guards))
        yield _answer(subject, "guard zeroes", unit, max(guard.zeroed for guard in guards))


def _answer(subject: str, quantity: str, unit: str, value: float, display: str = "") -> Entry:
    return Entry(
        f"{subject} {quantity}",
        Kind.ANSWER,
        unit,
        float(value),
        subject=subject,
        required=True,
        display=display,
    )

"""What the records say beside times: workload, machine, versions, notices, warnings."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from perfkit.records.schema import Record
from perfkit.report.page import Facts
from perfkit.units import bytes_text

NUMBER = re.compile(r"\d+(?:\.\d+)?")

LISTED_SKIPPED = 5
"""Sentences on skipped lines that a page shows."""

MACHINE_FACTS = (
    ("host", "host"),
    ("cpu", "CPU"),
    ("logical_cpus", "logical CPUs"),
    ("physical_cores", "physical cores"),
    ("memory_bytes", "memory"),
    ("instruction_sets", "instruction sets"),
    ("kernel", "kernel"),
    ("governor", "governor"),
    ("transparent_hugepages", "huge pages"),
    ("cgroup_cpu_max", "cgroup CPU limit"),
    ("cgroup_memory_max", "cgroup memory limit"),
)
"""Keys of :func:`perfkit.records.machine.fingerprint` and their names for a reader."""


def workload_facts(records: Sequence[Record]) -> Facts:
    """Model, inputs and fidelity; several values of one fact stand side by side."""
    facts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        workload = record.workload
        facts["model"].append(workload.model)
        facts["input"].append(workload.name)
        facts["size"].append(str(workload.size))
        facts["fidelity"].append(fidelity_text(workload.fidelity))
        facts["CPUs allowed"].append(str(record.allowed_cpus))
        facts["input digest"].append(workload.input_digest)
    return Facts("Workload", _entries(facts))


def machine_facts(records: Sequence[Record]) -> Facts:
    """The machine, or the machines, that the records come from."""
    facts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for key, name in MACHINE_FACTS:
            text = _machine_text(key, getattr(record.machine, key))
            if text:
                facts[name].append(text)
    return Facts("Machine", _entries(facts))


def version_facts(records: Sequence[Record]) -> Facts:
    """Versions of what ran."""
    facts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for name, version in record.versions.items():
            if version:
                facts[name.replace("_", " ")].append(version)
    return Facts("Versions", _entries(facts))


def fidelity_text(fidelity: Mapping[str, int]) -> str:
    """E.g. ``recycles 1, diffusion steps 2``."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fidelity.items())


def notices(records: Sequence[Record]) -> tuple[str, ...]:
    """Every notice of every trial, once."""
    return tuple(dict.fromkeys(notice for record in records for notice in record.notices))


def warnings(records: Sequence[Record]) -> tuple[str, ...]:
    """Warnings of all trials, those of one kind together, and what must not be mixed.

    Warnings that differ only in their numbers become one, with the range of each number and how
    many trials it speaks of.
    """
    kinds: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for record in records:
        for warning in dict.fromkeys(record.warnings):
            kinds[tuple(NUMBER.split(warning))].append(NUMBER.findall(warning))
    told = [
        f"{_with_ranges(pieces, numbers)} ({len(numbers)} of {_trials(len(records))})"
        for pieces, numbers in kinds.items()
    ]
    return (*told, *_mixed(records))


def skipped_warnings(what: str, skipped: Sequence[str]) -> tuple[str, ...]:
    """What was left out of a page because it could not be read: how many, and the first few.

    Parameters
    ----------
    what
        Singular of what was skipped, e.g. ``line``.
    skipped
        A sentence for each.
    """
    if not skipped:
        return ()
    count = f"{len(skipped)} {what}{'s' if len(skipped) != 1 else ''} could not be read"
    rest = len(skipped) - LISTED_SKIPPED
    more = (f"{rest} more could not be read",) if rest > 0 else ()
    verb = "counts" if len(skipped) == 1 else "count"
    return (f"{count} and {verb} for nothing here", *skipped[:LISTED_SKIPPED], *more)


def _with_ranges(pieces: Sequence[str], numbers: Sequence[Sequence[str]]) -> str:
    """The text with each number, or its least and greatest value, back between its pieces."""
    text = pieces[0]
    for place, piece in enumerate(pieces[1:]):
        seen = sorted({row[place] for row in numbers}, key=float)
        text += (seen[0] if len(seen) == 1 else f"{seen[0]} to {seen[-1]}") + piece
    return text


def _trials(count: int) -> str:
    return f"{count} trial{'s' if count != 1 else ''}"


def _mixed(records: Sequence[Record]) -> list[str]:
    told = []
    machines = {str(record.machine.digest) for record in records}
    if len(machines) > 1:
        told.append(f"the trials ran on {len(machines)} different machines: times do not compare")
    names = dict.fromkeys(name for record in records for name in record.versions)
    for name in names:
        found = list(dict.fromkeys(str(record.versions.get(name)) for record in records))
        if len(found) > 1:
            told.append(f"the trials ran with several versions of {name}: {', '.join(found)}")
    return told


def _machine_text(key: str, value: Any) -> str:
    """A fact of the fingerprint as text, empty where it is not known."""
    if value in (None, "", []):
        return ""
    if key in ("memory_bytes", "cgroup_memory_max") and str(value).isdigit():
        return bytes_text(int(value))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _entries(facts: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, "; ".join(dict.fromkeys(value for value in values if value)))
        for name, values in facts.items()
        if any(values)
    )

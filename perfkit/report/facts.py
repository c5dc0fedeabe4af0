"""Facts, notices and warnings that a page states in addition to the measurements."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from perfkit.records.schema import Record, WorkloadRecord
from perfkit.report.page import Facts
from perfkit.tuning.studies.nodes import node_sentences
from perfkit.units import bytes_text, count_text

NUMBER = re.compile(r"\d+(?:\.\d+)?")

LISTED_SKIPPED = 5
"""Most sentences on skipped input that a page shows."""

MACHINE_FACTS = (
    ("host", "host"),
    ("node", "node"),
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
"""Keys of :func:`perfkit.records.machine.fingerprint` and the names that a page shows."""


def workload_facts(records: Sequence[Record]) -> Facts:
    """Model, inputs and fidelity. Several values of one fact are separated by semicolons."""
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
    """Properties of the machines that the records come from."""
    facts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for key, name in MACHINE_FACTS:
            text = _machine_text(key, getattr(record.machine, key))
            if text:
                facts[name].append(text)
    return Facts("Machine", _entries(facts))


def version_facts(records: Sequence[Record]) -> Facts:
    """Versions of the packages that the trials ran with."""
    facts: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for name, version in record.versions.items():
            if version:
                facts[name.replace("_", " ")].append(version)
        if record.model_package is not None:
            facts["package of the model"].append(record.model_package.text)
    return Facts("Versions", _entries(facts))


def fidelity_text(fidelity: Mapping[str, int]) -> str:
    """Format a fidelity, for example ``recycles 1, diffusion steps 2``."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fidelity.items())


def workload_text(workload: WorkloadRecord) -> str:
    """Name, size and fidelity of a workload."""
    fidelity = fidelity_text(workload.fidelity)
    return f"{workload.name}, size {workload.size}" + (f" ({fidelity})" if fidelity else "")


def notices(records: Sequence[Record]) -> tuple[str, ...]:
    """The notices of all trials without repetition."""
    return tuple(dict.fromkeys(notice for record in records for notice in record.notices))


def warnings(records: Sequence[Record]) -> tuple[str, ...]:
    """Warnings of all trials, and warnings on slow nodes and on mixed machines or versions.

    Warnings that differ only in their numbers become one, with the range of each number and the
    number of trials that have the warning.
    """
    kinds: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for record in records:
        for warning in dict.fromkeys(record.warnings):
            kinds[tuple(NUMBER.split(warning))].append(NUMBER.findall(warning))
    merged = [
        f"{_with_ranges(pieces, numbers)} ({len(numbers)} of {count_text(len(records), 'trial')})"
        for pieces, numbers in kinds.items()
    ]
    return (*merged, *node_sentences(records), *_mixed(records))


def skipped_warnings(noun: str, skipped: Sequence[str]) -> tuple[str, ...]:
    """Warnings on input that could not be read: its number, and the first few cases.

    Parameters
    ----------
    noun
        Singular noun for the input, for example ``line``.
    skipped
        One sentence per case.
    """
    if not skipped:
        return ()
    verb = "is" if len(skipped) == 1 else "are"
    summary = f"{count_text(len(skipped), noun)} could not be read and {verb} left out"
    rest = len(skipped) - LISTED_SKIPPED
    more = (f"{rest} more could not be read",) if rest > 0 else ()
    return (summary, *skipped[:LISTED_SKIPPED], *more)


def _with_ranges(pieces: Sequence[str], numbers: Sequence[Sequence[str]]) -> str:
    """Join the pieces of a text by its numbers, or by the range of each number."""
    text = pieces[0]
    for position, piece in enumerate(pieces[1:]):
        seen = sorted({row[position] for row in numbers}, key=float)
        text += (seen[0] if len(seen) == 1 else f"{seen[0]} to {seen[-1]}") + piece
    return text


def _mixed(records: Sequence[Record]) -> list[str]:
    sentences = []
    machines = {str(record.machine.digest) for record in records}
    if len(machines) > 1:
        sentences.append(
            f"the trials ran on {len(machines)} different machines, so their times cannot be "
            "compared"
        )
    names = dict.fromkeys(name for record in records for name in record.versions)
    for name in names:
        found = list(dict.fromkeys(str(record.versions.get(name)) for record in records))
        if len(found) > 1:
            sentences.append(f"the trials ran with several versions of {name}: {', '.join(found)}")
    return sentences


def _machine_text(key: str, value: object) -> str:
    """A property of the machine as text; empty if unknown."""
    if value in (None, "", []):
        return ""
    if key in ("memory_bytes", "cgroup_memory_max") and str(value).isdigit():
        return bytes_text(int(str(value)))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _entries(facts: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, "; ".join(dict.fromkeys(value for value in values if value)))
        for name, values in facts.items()
        if any(values)
    )

"""The environment that a prediction would run in: packages, variables, allocators, CPUs, limits."""

from __future__ import annotations

import os
import platform
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import packages_distributions
from pathlib import Path

from perfkit.knobs.allocators import ALLOCATORS, library_path
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.environment import left_out_variables
from perfkit.knobs.inherited import changes_computation, redacted
from perfkit.observers.perf_events import PerfEvents
from perfkit.observers.tools import ptrace_refusal
from perfkit.records.findings import MachineRecord
from perfkit.records.machine import (
    PACKAGES,
    available_memory_bytes,
    fingerprint,
    package_versions,
    restrictions_here,
    total_memory_bytes,
)
from perfkit.records.restrictions import Restrictions
from perfkit.units import bytes_text, count_text

GOVERNORS_AT_FULL_SPEED = ("performance", "schedutil", "ondemand")
"""Governors under which a busy CPU reaches its full speed (Linux, admin-guide/pm/cpufreq)."""


@dataclass(frozen=True)
class Fact:
    """A fact about the environment.

    Attributes
    ----------
    name
        What it is about.
    value
        What was found.
    advice
        What it means or what to do; empty if nothing is to do.
    """

    name: str
    value: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the fact as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Sources:
    """Where the facts come from; by default this process and its machine.

    Attributes
    ----------
    variables
        Environment variables.
    machine
        Fingerprint of the machine.
    limits
        Limits of the process, and one sentence for each limit that matters.
    providers
        Distributions by the import name that they provide.
    packages
        Version by distribution of the packages that change the time or the answer of a trial.
    library
        Returns the path of an allocator's library.
    tracing, counting
        Return why the process may not trace others, or count performance events; None if it may.
    """

    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    machine: MachineRecord = field(default_factory=fingerprint)
    limits: tuple[Restrictions, Sequence[str]] = field(default_factory=restrictions_here)
    providers: Mapping[str, Sequence[str]] = field(default_factory=packages_distributions)
    packages: Mapping[str, str | None] = field(default_factory=package_versions)
    library: Callable[[str], Path | None] = library_path
    tracing: Callable[[], str | None] = ptrace_refusal
    counting: Callable[[], str | None] = PerfEvents().unavailable


def environment_facts(sources: Sources | None = None) -> tuple[Fact, ...]:
    """What was found, in the order in which a reader wants to know it."""
    found = Sources() if sources is None else sources
    return (
        Fact("Python", f"{platform.python_version()} ({sys.executable})"),
        *_package_facts(found),
        *_variable_facts(found.variables),
        *_allocator_facts(found.library),
        _huge_pages_fact(found.machine.transparent_hugepages),
        *_cpu_facts(found.machine, found.limits[0]),
        Fact(
            "memory",
            f"{bytes_text(total_memory_bytes())}, {bytes_text(available_memory_bytes())} free",
        ),
        *(Fact("limit", sentence) for sentence in found.limits[1]),
        *_rights_facts(found),
    )


def _package_facts(found: Sources) -> Iterator[Fact]:
    listed = ", ".join(f"{name} {version}" for name, version in found.packages.items())
    yield Fact("packages", listed or "none of " + ", ".join(PACKAGES))
    for module, distributions in sorted(found.providers.items()):
        rivals = sorted(set(distributions) & set(found.packages))
        if len(rivals) > 1:
            yield Fact(
                f"package {module}",
                f"provided by {' and by '.join(rivals)}",
                "the one that was installed last has overwritten files of the other: uninstall "
                "both, and install one",
            )


def _variable_facts(variables: Mapping[str, str]) -> Iterator[Fact]:
    shown = {
        name: redacted(name, value)
        for name, value in sorted(variables.items())
        if changes_computation(name, value)
    }
    left_out = left_out_variables(STOCK, variables)
    if not shown:
        yield Fact("variables", "none is set that changes a computation")
    for name, value in shown.items():
        advice = "trials of perfkit run without it" if name in left_out else ""
        yield Fact(f"variable {name}", value, advice)


def _allocator_facts(library: Callable[[str], Path | None]) -> Iterator[Fact]:
    names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, allocator in ALLOCATORS.items():
        if allocator.libraries:
            names[allocator.libraries].append(name)
    for together in names.values():
        path = library(together[0])
        label = f"allocator {', '.join(together)}"
        if path is None:
            yield Fact(label, "not installed", ALLOCATORS[together[0]].remedy)
        else:
            yield Fact(label, str(path))


def _huge_pages_fact(state: str | None) -> Fact:
    if state is None:
        return Fact("transparent huge pages", "not known")
    advice = ""
    if state == "never":
        advice = (
            "no allocator gets huge pages; as root: "
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
        )
    return Fact("transparent huge pages", state, advice)


def _cpu_facts(machine: MachineRecord, limits: Restrictions) -> Iterator[Fact]:
    model = f"family {machine.cpu_family}, model {machine.cpu_model}"
    name = machine.cpu or "not known"
    yield Fact("CPU", f"{name} ({model})" if machine.cpu_family else name)
    yield Fact("instruction sets", " ".join(machine.instruction_sets) or "none that matters")
    quota = limits.cgroup_cpus
    shared = "" if quota is None else f", the time of {quota:g} (control group)"
    yield Fact(
        "allowed CPUs",
        f"{limits.allowed_cpus} of {count_text(limits.machine_cpus or 1, 'CPU')}{shared}",
    )
    if machine.governor is not None:
        slow = machine.governor not in GOVERNORS_AT_FULL_SPEED
        advice = "CPUs may stay below full speed; as root: cpupower frequency-set -g performance"
        yield Fact("CPU frequency governor", machine.governor, advice if slow else "")


def _rights_facts(found: Sources) -> Iterator[Fact]:
    refused = found.tracing()
    yield Fact(
        "tracing (py-spy)",
        "allowed" if refused is None else refused,
        "" if refused is None else "as root: sysctl kernel.yama.ptrace_scope=0",
    )
    refused = found.counting()
    advice = ""
    if refused is not None and "paranoid" in refused:
        advice = "as root: sysctl kernel.perf_event_paranoid=1"
    yield Fact("counting (perf)", "allowed" if refused is None else refused, advice)

"""The trials that a fit or a calibration needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.cpus import ALL_CPUS, CPUS_KNOB
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import setting_digest
from perfkit.records.roles import Role
from perfkit.records.store import Store

COUNTED_ROLES = (Role.PARTS, Role.HELD_OUT, Role.CPUS, Role.COMPILED)
"""Roles with a fixed number of trials per workload and configuration."""


@dataclass(frozen=True)
class Step:
    """A trial of a fit.

    Attributes
    ----------
    workload, configuration
        What is computed, and how.
    role
        Purpose of the trial.
    traced
        Whether a pass under the profiler measures the parts.
    """

    workload: Workload
    configuration: Configuration
    role: Role
    traced: bool = True


@dataclass(frozen=True)
class FitPlan:
    """The trials that a fit needs.

    Attributes
    ----------
    model
        The model.
    workloads
        Points of the fit, smallest first.
    held_out
        Points that are only used to evaluate the fit.
    compiled
        Workloads that are only compiled.
    configuration
        Preset to fit.
    cpu_counts
        CPU counts to measure in addition to all CPUs.
    store
        Store of the records.
    rounds
        Timed passes per trial.
    cached
        Whether to measure the time to load a program from the compilation cache.
    repeats
        Trials per point. Processes of one program may differ permanently through their memory
        layout, which further passes do not average out.
    further
        Points that are left out where the budget is too short, smallest first: those of the shallow
        network, and the larger size of a calibration.
    budget_s
        Wall seconds after which no trial is started that a fit or a calibration can do without:
        further points and CPU counts, and instances side by side. None for no budget.
    reuse_compilation
        Whether instances side by side load the program that the trial on one CPU has compiled.
        Their start is not measured.
    """

    model: Model
    workloads: tuple[Workload, ...]
    held_out: tuple[Workload, ...]
    compiled: tuple[Workload, ...]
    configuration: Configuration
    cpu_counts: tuple[int, ...]
    store: Store
    rounds: int
    cached: bool = True
    repeats: int = 1
    further: tuple[Workload, ...] = ()
    budget_s: float | None = None
    reuse_compilation: bool = False

    @cached_property
    def study(self) -> str:
        """Digest of machine, packages and configuration, so that further sizes join the study."""
        same = ["fit", self.model.name, setting_digest(), self.configuration.digest]
        return short_digest(same)

    @property
    def middle(self) -> Workload:
        """Workload of median size, on which CPUs and instances are varied."""
        own = self.workloads[0].fidelity
        alike = [each for each in self.workloads if each.fidelity == own]
        return alike[len(alike) // 2]

    def on_cpus(self, cpus: int) -> Configuration:
        """Return the preset on ``cpus`` CPUs."""
        return Catalogue(self.model.knobs).changed(self.configuration, CPUS_KNOB.name, str(cpus))

    @property
    def trials(self) -> int:
        """Number of trials of the whole plan."""
        together = 2 if self.cpu_counts else 0
        alone = sum(self.wanted(step.role) for step in self.steps())
        return alone + len(self.compiled) + together + (2 if self.cached else 0)

    def wanted(self, role: str) -> int:
        """Return the number of trials per workload in one of :data:`COUNTED_ROLES`."""
        return self.repeats if role in (Role.PARTS, Role.HELD_OUT) else 1

    def steps(self) -> list[Step]:
        """Return the trials that run alone, in the order in which they are measured."""
        points = [
            Step(each, self.configuration, Role.PARTS) for each in (*self.workloads, *self.further)
        ]
        evaluated = [Step(each, self.configuration, Role.HELD_OUT) for each in self.held_out]
        counts = [
            Step(self.middle, self.on_cpus(cpus), Role.CPUS, traced=False)
            for cpus in self.cpu_counts
        ]
        full = len(self.workloads)
        return [*points[:full], *counts, *evaluated, *points[full:]]


def contrasting(workloads: Sequence[Workload], fidelity: Mapping[str, int]) -> list[Workload]:
    """Return the smallest, middle and largest workload at another fidelity.

    Parameters
    ----------
    workloads
        Points of a fit, smallest first.
    fidelity
        Axes to change (:attr:`perfkit.models.costs.CostModel.contrast`). Without any there is
        nothing to return.
    """
    if not fidelity:
        return []
    chosen = dict.fromkeys((0, len(workloads) // 2, len(workloads) - 1))
    return [workloads[index].with_fidelity(**fidelity) for index in chosen]


def parse_cpu_counts(text: str, available: int) -> tuple[int, ...]:
    """Parse CPU counts such as ``1,2,all``; those of all CPUs are left out.

    Raises
    ------
    UserError
        A value is not a CPU count.
    """
    counts = []
    for word in text.split(","):
        value = CPUS_KNOB.canonical(word)
        if value != ALL_CPUS and int(value) < available:
            counts.append(int(value))
    return tuple(dict.fromkeys(counts))

"""Typed parts of a record: agreement, finite report, guard counts and machine fingerprint."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from perfkit.records.base import OpenModel
from perfkit.records.bounded import Count, Distance, Finite

type AgreementName = Literal["bitwise", "float32", "bfloat16", "none"]
"""Label of an agreement class, strictest first."""

AGREEMENT_NAMES: tuple[AgreementName, ...] = ("bitwise", "float32", "bfloat16", "none")
"""All agreement classes, strictest first."""


class QuantityRecord(OpenModel):
    """Agreement of one compared quantity with the reference.

    Attributes
    ----------
    name
        Name of the quantity.
    reached
        Agreement class (``class`` in the file); None in records that keep only the distance.
    distance, largest_difference
        Distances as :class:`perfkit.answers.agreement.QuantityAgreement` defines them; None
        where they are not finite.
    reason
        Why there is no distance; empty if there is one.
    why
        What the distance measures.
    """

    name: str
    reached: AgreementName | None = Field(default=None, alias="class")
    distance: Distance | None = None
    largest_difference: Distance | None = None
    reason: str = ""
    why: str = ""


class AgreementRecord(OpenModel):
    """Agreement of the answer with the reference.

    Attributes
    ----------
    reached
        The loosest class of all quantities (``class`` in the file).
    quantities
        The compared quantities.
    declared
        The class that the configuration promises; None in records of older versions.
    within
        Whether the answer keeps the declared class; None in records of older versions.
    """

    reached: AgreementName = Field(alias="class")
    quantities: list[QuantityRecord]
    declared: AgreementName | None = None
    within: bool | None = None

    @property
    def largest_distance(self) -> float | None:
        """The largest distance of all quantities, without unit; None where none is known."""
        return max((q.distance for q in self.quantities if q.distance is not None), default=None)


class LeafRecord(OpenModel):
    """Counts of the bad elements of one output.

    Attributes
    ----------
    name
        Name of the output.
    size
        Number of elements.
    bad
        Number of elements that are infinite, or NaN where the model declares no NaN.
    nan, expected_nan, absent_nan, positive_infinity, negative_infinity
        Number of elements by fault, as :class:`perfkit.answers.finite.LeafCounts` defines them.
    fraction
        Share of bad elements, between 0 and 1.
    """

    name: str
    size: Count
    bad: Count
    nan: Count = 0
    expected_nan: Count = 0
    absent_nan: Count = 0
    positive_infinity: Count = 0
    negative_infinity: Count = 0
    fraction: Finite = 0.0


class FiniteRecord(OpenModel):
    """Finite check of all outputs.

    Attributes
    ----------
    finite
        Whether no output has a bad element.
    leaves
        Counts by output.
    """

    finite: bool
    leaves: list[LeafRecord]

    @property
    def bad(self) -> int:
        """Number of bad elements of all outputs."""
        return sum(leaf.bad for leaf in self.leaves)


class SiteRecord(OpenModel):
    """Counts of the domain guard at one line of source code.

    Attributes
    ----------
    primitive
        Name of the guarded JAX primitive.
    file, line, function
        Position of the line.
    lifted, zeroed
        Number of elements that were lifted or zeroed.
    """

    primitive: str
    file: str
    line: Count
    function: str
    lifted: Count
    zeroed: Count


class GuardRecord(OpenModel):
    """Counts of the domain guard.

    Attributes
    ----------
    mode
        Mode of the guard, ``lift`` or ``zero``.
    lifted, zeroed
        Number of elements that were lifted or zeroed, over all passes.
    guarded_equations
        Number of guarded equations of the program.
    sites
        Counts by line of source code; lines without counts are left out.
    unguarded_functions
        Functions that the guard cannot transform, and why.
    left_alone
        Number of functions that were compiled unchanged, as nothing in them can need lifting.
    """

    mode: str
    lifted: Count
    zeroed: Count
    guarded_equations: Count = 0
    sites: list[SiteRecord] = Field(default_factory=list)
    unguarded_functions: dict[str, str] = Field(default_factory=dict)
    left_alone: Count = 0


class MachineRecord(OpenModel):
    """Fingerprint of a machine, see :func:`perfkit.records.machine.fingerprint`.

    A value that could not be read is None.

    Attributes
    ----------
    digest
        Digest of all values below except ``host`` and ``node``; equal on equal machines.
    host
        Host name.
    node
        Name of the node by the batch system; None outside of a job.
    cpu, cpu_family, cpu_model
        Name, family and model number of the CPU.
    instruction_sets
        Those of :data:`perfkit.records.machine.INSTRUCTION_SETS` that the CPU has.
    logical_cpus, physical_cores
        Number of CPUs that the kernel schedules on, and of cores.
    memory_bytes
        Physical memory.
    kernel
        Release of the kernel.
    governor
        Frequency governor of the first CPU.
    transparent_hugepages
        ``always``, ``madvise`` or ``never``.
    cgroup_cpu_max, cgroup_memory_max
        Limits of the control groups, as text.
    """

    digest: str | None = None
    host: str | None = None
    node: str | None = None
    cpu: str | None = None
    cpu_family: str | None = None
    cpu_model: str | None = None
    instruction_sets: list[str] = Field(default_factory=list)
    logical_cpus: Count | None = None
    physical_cores: Count | None = None
    memory_bytes: Count | None = None
    kernel: str | None = None
    governor: str | None = None
    transparent_hugepages: str | None = None
    cgroup_cpu_max: str | None = None
    cgroup_memory_max: str | None = None

    def known(self) -> dict[str, Any]:
        """The values that could be read, by name."""
        return self.model_dump(exclude_none=True)

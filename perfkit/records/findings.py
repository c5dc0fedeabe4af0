"""What a record says of its answer and of its machine: agreement, finite report, guard counts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from perfkit.records.bounded import Count, Distance, Finite

type AgreementName = Literal["bitwise", "float32", "bfloat16", "none"]
"""Label of an agreement class, strictest first."""

AGREEMENT_NAMES: tuple[AgreementName, ...] = ("bitwise", "float32", "bfloat16", "none")
"""All of them, strictest first."""


class _Open(BaseModel):
    """Keeps the fields that another version of perfkit wrote, so that none is lost on the way."""

    model_config = ConfigDict(
        frozen=True, extra="allow", populate_by_name=True, serialize_by_alias=True
    )
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    def as_dict(self) -> dict[str, Any]:
        """The plain data that it was made of, by the names that stand in the file."""
        return self.model_dump()


class QuantityRecord(_Open):
    """One compared quantity.

    Attributes
    ----------
    name
        Of the quantity.
    reached
        Agreement class (``class`` in the file); None where only the distance was kept.
    distance, largest_difference
        As :class:`perfkit.answers.agreement.QuantityAgreement` defines them; None where there is
        no finite number.
    reason
        Why there is none, empty if there is one.
    why
        What the distance measures.
    """

    name: str
    reached: AgreementName | None = Field(default=None, alias="class")
    distance: Distance | None = None
    largest_difference: Distance | None = None
    reason: str = ""
    why: str = ""


class AgreementRecord(_Open):
    """How the answer compares with the reference's.

    Attributes
    ----------
    reached
        The loosest class of any quantity (``class`` in the file).
    quantities
        Each compared quantity.
    declared
        The class that the configuration promises; None in records that do not say.
    within
        Whether it was kept.
    """

    reached: AgreementName = Field(alias="class")
    quantities: list[QuantityRecord]
    declared: AgreementName | None = None
    within: bool | None = None

    @property
    def largest_distance(self) -> float | None:
        """The largest distance of any quantity; None where none is known."""
        return max((q.distance for q in self.quantities if q.distance is not None), default=None)


class LeafRecord(_Open):
    """Elements of one output, by what is wrong with them."""

    name: str
    size: Count
    bad: Count
    nan: Count = 0
    expected_nan: Count = 0
    absent_nan: Count = 0
    positive_infinity: Count = 0
    negative_infinity: Count = 0
    fraction: Finite = 0.0


class FiniteRecord(_Open):
    """Whether all outputs are finite, and the counts of each."""

    finite: bool
    leaves: list[LeafRecord]


class SiteRecord(_Open):
    """One source line where the guard did something."""

    primitive: str
    file: str
    line: Count
    function: str
    lifted: Count
    zeroed: Count


class GuardRecord(_Open):
    """What the domain guard did.

    Attributes
    ----------
    mode
        ``lift`` or ``zero``.
    lifted, zeroed
        Elements that it touched, over all passes.
    guarded_equations
        Places that it watched.
    sites
        The places where it did something.
    unguarded_functions
        What it could not enter, and why.
    """

    mode: str
    lifted: Count
    zeroed: Count
    guarded_equations: Count = 0
    sites: list[SiteRecord] = Field(default_factory=list)
    unguarded_functions: dict[str, str] = Field(default_factory=dict)


class MachineRecord(_Open):
    """The machine's fingerprint, see :func:`perfkit.records.machine.fingerprint`.

    What could not be read is None.
    """

    digest: str | None = None
    host: str | None = None
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
        """What could be read, by name."""
        return self.model_dump(exclude_none=True)

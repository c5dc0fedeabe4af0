"""The record: what a finished trial leaves, one line of versioned JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from perfkit.errors import UserError
from perfkit.records.bounded import (
    SHORTEST_PASS_S,
    Bounded,
    Count,
    Finite,
    Moment,
    Seconds,
    refuse_unusable,
)
from perfkit.records.findings import AgreementRecord, FiniteRecord, GuardRecord, MachineRecord
from perfkit.records.settings import (
    FORMER_NAMES,
    present_settings,
    settings_digest,
    settings_label,
)

SCHEMA_VERSION = 3
"""Raised with each change of the schema; :func:`upgrade` reads all older versions."""


PASSES = ("first", "steady")
"""Stages that predict; their times are divided by one another."""


class NewerSchemaError(UserError):
    """A record was written by a newer perfkit."""


class Outcome(StrEnum):
    """How a trial ended."""

    OK = "ok"
    NONFINITE = "nonfinite"
    DISAGREES = "disagrees"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Stage(_Frozen):
    """One stage of a trial; times are seconds, ``begin_s`` counts from the trial's start."""

    name: str
    begin_s: Seconds
    wall_s: Seconds
    user_s: Seconds
    system_s: Seconds
    minor_faults: Count
    major_faults: Count
    voluntary_switches: Count
    involuntary_switches: Count
    peak_rss_bytes: Count
    round: Bounded | None = None
    """Round of the interleaving in which a steady pass ran; equal rounds are compared."""
    disturbed: str = ""
    """Why the stage's time is not the program's own, empty if it is: it was stopped, or the
    machine slept. Passes of which this holds are not kept; see :class:`DisturbedPass`."""

    @model_validator(mode="after")
    def _passes_take_time(self) -> Self:
        if self.name in PASSES and self.wall_s < SHORTEST_PASS_S:
            raise ValueError(f"a pass of {self.wall_s} s was never measured")
        return self

    @property
    def cpu_s(self) -> float:
        """User and system seconds."""
        return self.user_s + self.system_s


class DisturbedPass(_Frozen):
    """A timed pass that was dropped, because something else held it up, and made again."""

    round: Bounded | None
    wall_s: Seconds
    reason: str


class Compilation(_Frozen):
    """What XLA says of the compiled program (``memory_analysis``, ``cost_analysis``)."""

    cache: str
    """``off``, ``hit`` or ``miss`` of JAX's persistent compilation cache."""
    temporary_bytes: Count
    argument_bytes: Count
    output_bytes: Count
    code_bytes: Count
    flops: Finite
    """XLA's count; the body of a loop is counted once."""
    bytes_accessed: Finite
    parts: dict[str, Count]
    """How often each part of the model runs in one pass."""


class WorkloadRecord(_Frozen):
    """The workload, as :class:`perfkit.models.base.Workload` describes itself."""

    model: str
    name: str
    size: Count
    source: dict[str, Any]
    fidelity: dict[str, Bounded]
    input_digest: str
    notices: list[str]
    digest: str


class ConfigurationRecord(_Frozen):
    """The configuration: what differs from stock."""

    settings: dict[str, str]
    digest: str
    label: str


class Load(_Frozen):
    """What else the machine did while the trial ran."""

    load_average_before: Finite
    steal_fraction: Finite
    """CPU time that a hypervisor took away, as a share of the CPUs' time."""
    other_cpu_fraction: Finite
    """CPU time of everything but the trial, as a share of the CPUs' time."""


class Samples(_Frozen):
    """The process tree over time; ``time_s`` counts from the trial's start."""

    time_s: list[Finite]
    cpu_s: list[Finite]
    rss_bytes: list[Count]

    @model_validator(mode="after")
    def _as_many_of_each(self) -> Self:
        if not len(self.time_s) == len(self.cpu_s) == len(self.rss_bytes):
            raise ValueError(
                f"{len(self.time_s)} times, {len(self.cpu_s)} of CPU and "
                f"{len(self.rss_bytes)} of memory are not the same samples"
            )
        return self


class Observation(_Frozen):
    """What one observer found."""

    data: dict[str, JsonValue] = Field(default_factory=dict)
    """As the observer's own model describes it, e.g. :class:`perfkit.observers.cpu.CpuSeen`."""
    missing: str = ""
    """One line on what could not be seen and why; empty if nothing."""


class Record(_Frozen):
    """One finished trial."""

    schema_version: int = SCHEMA_VERSION
    id: str
    created: Moment
    """UTC, ISO 8601."""
    study: str | None = None
    """Digest of the study that asked for the trial."""
    role: str = "single"
    """Why the trial was run: ``single``, ``reference``, ``screen``, ``confirm``, ``parts``, ..."""
    block: str | None = None
    """Trials of one block ran interleaved; their equal rounds may be compared."""
    shared_start: bool = False
    """Whether another trial was started at the same time: the stages up to the first pass then
    shared the CPUs with its, and their times are those of neither alone. Since version 2."""
    workload: WorkloadRecord
    configuration: ConfigurationRecord
    machine: MachineRecord
    versions: dict[str, str | None]
    allowed_cpus: Annotated[Count, Field(ge=1)]
    stages: list[Stage] = Field(default_factory=list)
    compilation: Compilation | None = None
    peak_rss_bytes: Count = 0
    samples: Samples | None = None
    part_times_s: dict[str, Seconds] | None = None
    """Seconds of each part in one pass at this workload's fidelity, from the XLA trace of a pass
    of its own, scaled to the steady time; ``rest`` is what belongs to no part."""
    guard: GuardRecord | None = None
    """Mode of the domain guard and what it lifted, by source line; None where it was off."""
    finite: FiniteRecord | None = None
    agreement: AgreementRecord | None = None
    observations: dict[str, Observation] = Field(default_factory=dict)
    """By name of the observer."""
    artifacts: dict[str, str] = Field(default_factory=dict)
    """Name to path, relative to the store's folder."""
    load: Load | None = None
    disturbed_passes: list[DisturbedPass] = Field(default_factory=list)
    """Passes that are not among the stages."""
    left_out_variables: dict[str, str] = Field(default_factory=dict)
    """Variables of known effect that were set where perfkit ran and did not reach the trial."""
    passed_on_variables: dict[str, str] = Field(default_factory=dict)
    """Inherited variables that decide which code the trial ran."""
    restrictions: dict[str, Finite | Bounded | str] = Field(default_factory=dict)
    """Limits that the trial inherited; see :class:`perfkit.records.restrictions.Restrictions`."""
    warnings: list[str] = Field(default_factory=list)
    notices: list[str] = Field(default_factory=list)
    outcome: Outcome
    reason: str = ""

    def stage(self, name: str) -> Stage | None:
        """The first stage called ``name``."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def steady(self) -> list[Stage]:
        """The timed passes, in order."""
        return [stage for stage in self.stages if stage.name == "steady"]

    def utilisation(self, stage: Stage) -> float:
        """CPU seconds over wall seconds times allowed CPUs: 1 is all of them all the time."""
        return stage.cpu_s / (stage.wall_s * self.allowed_cpus) if stage.wall_s else 0.0


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """The data of a record of any schema version as one of the current version.

    Raises
    ------
    NewerSchemaError
        The version is newer than this perfkit knows.
    """
    version = data.get("schema_version", 0)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"a record has schema version {version}, this perfkit reads up to {SCHEMA_VERSION}; "
            "use a newer perfkit"
        )
    if version in (1, 2):
        # Version 2 added what observers found, version 3 what disturbed passes and what of the
        # environment was left out: before, nothing was recorded of either.
        data = data | {"schema_version": SCHEMA_VERSION}
    return _with_present_knobs(data)


def _with_present_knobs(data: dict[str, Any]) -> dict[str, Any]:
    """The data with its configuration under the present names of the knobs."""
    configuration = data.get("configuration")
    settings = configuration.get("settings") if isinstance(configuration, dict) else None
    if not isinstance(settings, dict) or FORMER_NAMES.isdisjoint(settings):
        return data
    present = present_settings(settings)
    pairs = tuple(present.items())
    return data | {
        "configuration": {
            "settings": present,
            "digest": settings_digest(pairs),
            "label": settings_label(pairs),
        }
    }


def read_record(data: object) -> Record:
    """The record in ``data``, upgraded if it is old.

    Raises
    ------
    NewerSchemaError
        The version is too new.
    ValueError
        The data is not a record (a :class:`pydantic.ValidationError`), or a number in it cannot
        have been measured.
    """
    refuse_unusable(data)
    return Record.model_validate(upgrade(data) if isinstance(data, dict) else data)

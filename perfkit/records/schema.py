"""The record that a finished trial leaves: one line of versioned JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, model_validator

from perfkit.packages import Package
from perfkit.records.base import FrozenModel
from perfkit.records.bounded import (
    SHORTEST_PASS_S,
    Bounded,
    Count,
    FilePart,
    Finite,
    Moment,
    Seconds,
)
from perfkit.records.depths import FULL_DEPTH
from perfkit.records.disturbances import DisturbedPass, Load
from perfkit.records.findings import AgreementRecord, FiniteRecord, GuardRecord, MachineRecord
from perfkit.records.restrictions import Restrictions
from perfkit.records.roles import Role
from perfkit.records.stages import PASS_STAGES, StageName

SCHEMA_VERSION = 6
"""Raised with each change of the schema; :mod:`perfkit.records.upgrades` reads older versions."""


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


class Stage(FrozenModel):
    """One stage of a trial.

    Attributes
    ----------
    name
        Name of the stage.
    begin_s
        Begin in seconds since the start of the trial.
    wall_s, user_s, system_s
        Wall seconds, and CPU seconds in user mode and in the kernel.
    minor_faults, major_faults
        Page faults without and with disk access.
    voluntary_switches, involuntary_switches
        Context switches.
    peak_rss_bytes
        Peak resident memory during the stage.
    round
        Round of the interleaving in which a steady pass ran; passes of equal rounds are compared.
    disturbed
        Why the time is not the program's own: the process was stopped, or the machine slept.
        Empty if the time is valid. Records keep disturbed passes apart, see
        :class:`DisturbedPass`.
    """

    name: StageName
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
    disturbed: str = ""

    @model_validator(mode="after")
    def _passes_take_time(self) -> Self:
        if self.name in PASS_STAGES and self.wall_s < SHORTEST_PASS_S:
            raise ValueError(
                f"a pass of {self.wall_s} s is shorter than any measurement ({SHORTEST_PASS_S:g} s)"
            )
        return self

    @property
    def cpu_s(self) -> float:
        """CPU seconds in user mode and in the kernel."""
        return self.user_s + self.system_s


class Compilation(FrozenModel):
    """Properties of the compiled program.

    Attributes
    ----------
    cache
        ``off``, ``hit`` or ``miss`` of JAX's persistent compilation cache.
    temporary_bytes, argument_bytes, output_bytes, code_bytes
        Memory of the program, from XLA's ``memory_analysis``.
    flops, bytes_accessed
        Work of the program, from XLA's ``cost_analysis``, which counts the body of a loop once.
    parts
        How often each part of the model runs in one pass.
    """

    cache: str
    temporary_bytes: Count
    argument_bytes: Count
    output_bytes: Count
    code_bytes: Count
    flops: Finite
    bytes_accessed: Finite
    parts: dict[str, Count]

    @property
    def data_bytes(self) -> int:
        """Memory of the program without its code."""
        return self.temporary_bytes + self.argument_bytes + self.output_bytes


class WorkloadRecord(FrozenModel):
    """The workload of a trial.

    Attributes
    ----------
    model
        Name of the model.
    name, size
        Name of the input, and its size as the model counts it.
    source
        Arguments from which the model makes the input.
    fidelity
        Value of each axis of fidelity.
    input_digest, digest
        Digests of the input, and of the whole workload.
    notices
        What a reader should know of the input, in sentences.
    depth
        ``full``, or ``shallow`` for the network with fewer of its identical blocks. Since version
        4.
    """

    model: str
    name: str
    size: Count
    source: dict[str, Any]
    fidelity: dict[str, Bounded]
    input_digest: str
    notices: list[str]
    digest: str
    depth: str = FULL_DEPTH


class ConfigurationRecord(FrozenModel):
    """The configuration of a trial.

    Attributes
    ----------
    settings
        Values of the knobs that are not at their defaults.
    digest, label
        Digest of the settings, and their short description.
    """

    settings: dict[str, str]
    digest: str
    label: str


class Samples(FrozenModel):
    """Samples of the process tree of a trial.

    Attributes
    ----------
    time_s
        Seconds since the start of the trial, ``[samples]``.
    cpu_s
        CPU seconds used so far, ``[samples]``.
    rss_bytes
        Resident memory, ``[samples]``.
    """

    time_s: list[Finite]
    cpu_s: list[Finite]
    rss_bytes: list[Count]

    @model_validator(mode="after")
    def _equal_lengths(self) -> Self:
        if not len(self.time_s) == len(self.cpu_s) == len(self.rss_bytes):
            raise ValueError(
                f"time_s has {len(self.time_s)} values, cpu_s {len(self.cpu_s)} and rss_bytes "
                f"{len(self.rss_bytes)}; expected equal numbers"
            )
        return self


class Observation(FrozenModel):
    """Results of one observer.

    Attributes
    ----------
    data
        Results as described by the observer's own model, e.g.
        :class:`perfkit.observers.cpu.CpuResult`.
    missing
        What could not be observed and why, in one line; empty if nothing is missing.
    """

    data: dict[str, JsonValue] = Field(default_factory=dict)
    missing: str = ""


class Record(FrozenModel):
    """One finished trial.

    Attributes
    ----------
    schema_version
        Version of the schema.
    id
        Identity of the trial.
    created
        Start of the trial in UTC, ISO 8601.
    study
        Digest of the study that the trial belongs to.
    role
        Purpose of the trial in its study.
    block
        Trials of one block ran interleaved; passes of equal rounds may be compared.
    shared_start
        Whether another trial started at the same time. Both then shared the CPUs up to the first
        pass, and the times of those stages are not comparable. Since version 2.
    shared_process
        Whether the process held the programs of other trials too. Its memory is then not that of
        this configuration. Since version 4.
    instances
        Number of trials of the block that ran at the same time, each on CPUs of its own. Since
        version 4.
    workload, configuration
        Workload and configuration.
    machine, versions
        Machine, and versions of Python, perfkit and packages.
    model_package
        The package whose code predicted; None in records of older versions. Since version 5.
    allowed_cpus
        Number of CPUs that the trial could run on.
    stages
        Stages in order, each timed pass as a stage of its own.
    compilation
        Properties of the compiled program; None where the trial did not compile.
    peak_rss_bytes
        Peak resident memory of the trial.
    samples
        Samples of the process tree.
    part_times_s
        Seconds of each part in one pass at the fidelity of the workload, from the trace of a
        separate pass, scaled to the steady time. ``rest`` is what belongs to no part. Those of the
        shallow network are the seconds of its stacks.
    full_part_times_s
        Seconds of each part in one pass of the full network, predicted from the shallow one; None
        at full depth.
    guard
        Counts of the domain guard; None where it was off.
    finite, agreement
        Finite check of the outputs, and agreement with the reference.
    observations
        Results by name of the observer.
    artifacts
        Paths by name, relative to the folder of the store.
    load
        Other load on the machine.
    disturbed_passes
        Passes that were dropped; they are not among the stages.
    left_out_variables
        Environment variables of known effect that were set and withheld from the trial.
    passed_on_variables
        Inherited environment variables that decide which code the trial ran.
    restrictions
        Limits that the trial inherited.
    warnings, notices
        What makes the times untrustworthy, and what else a reader should know, in sentences.
    outcome, reason
        How the trial ended, and why it did not end well.
    """

    schema_version: int = SCHEMA_VERSION
    id: FilePart
    created: Moment
    study: FilePart | None = None
    role: Role = Role.SINGLE
    block: str | None = None
    shared_start: bool = False
    shared_process: bool = False
    instances: Annotated[Count, Field(ge=1)] = 1
    workload: WorkloadRecord
    configuration: ConfigurationRecord
    machine: MachineRecord
    versions: dict[str, str | None]
    model_package: Package | None = None
    allowed_cpus: Annotated[Count, Field(ge=1)]
    stages: list[Stage] = Field(default_factory=list)
    compilation: Compilation | None = None
    peak_rss_bytes: Count = 0
    samples: Samples | None = None
    part_times_s: dict[str, Seconds] | None = None
    full_part_times_s: dict[str, Seconds] | None = None
    guard: GuardRecord | None = None
    finite: FiniteRecord | None = None
    agreement: AgreementRecord | None = None
    observations: dict[str, Observation] = Field(default_factory=dict)
    artifacts: dict[str, str] = Field(default_factory=dict)
    load: Load | None = None
    disturbed_passes: list[DisturbedPass] = Field(default_factory=list)
    left_out_variables: dict[str, str] = Field(default_factory=dict)
    passed_on_variables: dict[str, str] = Field(default_factory=dict)
    restrictions: Restrictions = Field(default_factory=Restrictions)
    warnings: list[str] = Field(default_factory=list)
    notices: list[str] = Field(default_factory=list)
    outcome: Outcome
    reason: str = ""

    def stage(self, name: StageName) -> Stage | None:
        """The first stage with this name; None if there is none."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def is_prediction(self) -> bool:
        """Whether time and memory are those of a prediction.

        They are not for a shallow network, or for a process that several programs share.
        """
        return self.workload.depth == "full" and not self.shared_process

    @property
    def steady(self) -> list[Stage]:
        """The timed passes, in order."""
        return [stage for stage in self.stages if stage.name is StageName.STEADY]

    @property
    def passes_peak_bytes(self) -> int:
        """Largest resident memory during the passes; 0 without a pass."""
        return max(
            (one.peak_rss_bytes for one in self.stages if one.name in PASS_STAGES), default=0
        )

    def utilisation(self, stage: Stage) -> float:
        """CPU seconds of a stage over wall seconds times allowed CPUs.

        1 if all allowed CPUs are busy all the time.
        """
        return stage.cpu_s / (stage.wall_s * self.allowed_cpus) if stage.wall_s else 0.0

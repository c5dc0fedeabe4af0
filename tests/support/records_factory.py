"""Factories of valid records for tests, with values that are easy to compute with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfkit.knobs.configuration import Configuration
from perfkit.records.findings import (
    AgreementName,
    AgreementRecord,
    MachineRecord,
)
from perfkit.records.roles import Role
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    Outcome,
    Record,
    Samples,
    Stage,
    WorkloadRecord,
)
from perfkit.records.stages import StageName

MACHINE: dict[str, Any] = {
    "cpu": "Test CPU",
    "logical_cpus": 2,
    "memory_bytes": 16_000_000_000,
    "instruction_sets": ["avx2", "avx512f"],
    "digest": "000000000001",
    "host": "testhost",
}
VERSIONS: dict[str, str | None] = {"python": "3.12.0", "jax": "0.7.0", "perfkit": "0.1"}


def make_stage(
    name: str,
    begin_s: float,
    wall_s: float,
    *,
    cpu_share: float = 1.8,
    round_number: int | None = None,
    peak_rss_bytes: int = 2_000_000_000,
) -> Stage:
    """A stage that used ``cpu_share`` CPUs, all in user time."""
    return Stage(
        name=StageName(name),
        begin_s=begin_s,
        wall_s=wall_s,
        user_s=cpu_share * wall_s,
        system_s=0.0,
        minor_faults=100,
        major_faults=0,
        voluntary_switches=10,
        involuntary_switches=5,
        peak_rss_bytes=peak_rss_bytes,
        round=round_number,
    )


def make_stages(
    steady_s: Sequence[float], *, rounds: Sequence[int] | None = None, cpu_share: float = 1.8
) -> list[Stage]:
    """All stages of a successful trial, back to back, beginning with 2 s of import."""
    walls = [("import", 2.0), ("prepare", 1.0), ("trace", 3.0), ("compile", 10.0), ("first", 1.0)]
    numbers = list(rounds) if rounds is not None else list(range(len(steady_s)))
    stages, clock_s = [], 0.0
    for name, wall_s in walls:
        stages.append(make_stage(name, clock_s, wall_s, cpu_share=cpu_share))
        clock_s += wall_s
    for number, wall_s in zip(numbers, steady_s, strict=True):
        stages.append(
            make_stage("steady", clock_s, wall_s, cpu_share=cpu_share, round_number=number)
        )
        clock_s += wall_s
    return [*stages, make_stage("check", clock_s, 0.5)]


def make_workload(
    *,
    size: int = 76,
    name: str = "ubiquitin",
    fidelity: Mapping[str, int] | None = None,
    notices: Sequence[str] = (),
) -> WorkloadRecord:
    """A workload whose digest consists of name, size and fidelity."""
    chosen = dict(fidelity) if fidelity is not None else {"recycles": 1, "diffusion_steps": 2}
    digest = "-".join(map(str, [name, size, *chosen.values()]))
    return WorkloadRecord(
        model="af3",
        name=name,
        size=size,
        source={},
        fidelity=chosen,
        input_digest=f"input-of-{name}-{size}",
        notices=list(notices),
        digest=digest,
    )


def make_agreement(
    reached: AgreementName = "float32", distance: float | None = 0.0012, *, within: bool = True
) -> AgreementRecord:
    """The agreement of one quantity, positions, under a configuration that declares bfloat16."""
    quantity = {"name": "positions", "class": reached, "distance": distance}
    return AgreementRecord.model_validate(
        {"class": reached, "quantities": [quantity], "declared": "bfloat16", "within": within}
    )


def make_record(
    settings: Mapping[str, str] | None = None,
    *,
    steady_s: Sequence[float] = (4.0, 4.0, 4.0),
    rounds: Sequence[int] | None = None,
    identifier: str = "",
    created: str = "2026-01-02T10:00:00+00:00",
    role: str = "screen",
    block: str | None = "block",
    outcome: Outcome = Outcome.OK,
    reason: str = "",
    workload: WorkloadRecord | None = None,
    agreement: AgreementRecord | None = None,
    samples: Samples | None = None,
    peak_rss_bytes: int = 3_000_000_000,
    allowed_cpus: int = 2,
    cpu_share: float = 1.8,
    stages: Sequence[Stage] | None = None,
    compilation: Compilation | None = None,
    part_times_s: Mapping[str, float] | None = None,
    machine: Mapping[str, Any] | None = None,
    versions: Mapping[str, str | None] | None = None,
    warnings: Sequence[str] = (),
    notices: Sequence[str] = (),
) -> Record:
    """A record, by default that of a successful trial of ubiquitin in stock on two CPUs.

    Parameters
    ----------
    settings
        Settings that differ from stock; None for stock.
    steady_s, rounds
        Wall seconds of the timed passes and their rounds, by default 0, 1, ...
    agreement
        Agreement with the reference, by default float32 for a successful trial.
    cpu_share
        CPUs in use in every stage.
    stages
        Stages to use in place of those that follow from ``steady_s``.
    """
    configuration = Configuration(tuple(sorted((settings or {}).items())))
    judged = agreement
    if judged is None and outcome is Outcome.OK:
        judged = make_agreement()
    return Record(
        id=identifier or f"{role}-{configuration.digest}",
        created=created,
        study="study",
        role=Role(role),
        block=block,
        workload=workload or make_workload(),
        configuration=ConfigurationRecord(
            settings=configuration.as_dict(),
            digest=configuration.digest,
            label=configuration.label,
        ),
        machine=MachineRecord.model_validate(machine or MACHINE),
        versions=dict(versions or VERSIONS),
        allowed_cpus=allowed_cpus,
        stages=list(stages)
        if stages is not None
        else make_stages(steady_s, rounds=rounds, cpu_share=cpu_share),
        compilation=compilation,
        peak_rss_bytes=peak_rss_bytes,
        samples=samples,
        part_times_s=dict(part_times_s) if part_times_s is not None else None,
        agreement=judged,
        warnings=list(warnings),
        notices=list(notices),
        outcome=outcome,
        reason=reason,
    )


def make_samples(length_s: float, *, cpus: float = 1.8, step_s: float = 0.5) -> Samples:
    """Evenly spaced samples of a process that uses ``cpus`` CPUs and grows by 100 MB per second."""
    times = [step_s * number for number in range(int(length_s / step_s) + 1)]
    return Samples(
        time_s=times,
        cpu_s=[cpus * moment for moment in times],
        rss_bytes=[int(500e6 + 100e6 * moment) for moment in times],
    )

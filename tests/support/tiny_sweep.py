"""A recorded sweep of four configurations with round numbers, for values worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.recorded import (
    RecordedConfiguration,
    RecordedProgram,
    RecordedSweep,
    StartSeconds,
)
from benchmarks.virtual_trials import agreement_record
from perfkit.models.workload import Workload
from perfkit.records.findings import MachineRecord
from perfkit.records.schema import Outcome, WorkloadRecord

STOCK: Mapping[str, str] = {}
PRECISION = {"precision": "bfloat16"}
ALLOCATOR = {"allocator": "glibc-keep"}
BOTH = PRECISION | ALLOCATOR

STARTS = StartSeconds(process_s=3.0, prepare_s=2.0, lower_s=1.0, check_s=0.5)

WORKLOAD = Workload(
    model="gencast",
    name="tiny",
    size=684,
    source={"resolution": 10.0, "mesh": 1},
    fidelity={"levels": 2, "steps": 1, "members": 1},
    input_digest="0123",
)


def entry(
    settings: Mapping[str, str],
    passes_s: Sequence[float],
    base_s: Sequence[float] = (10.0, 10.0),
    outcome: Outcome = Outcome.OK,
) -> RecordedConfiguration:
    """A configuration that compiles for 4 s, with a first pass as long as its first timed one."""
    return RecordedConfiguration(
        settings=dict(settings),
        outcome=outcome,
        passes_s=list(passes_s),
        base_s=list(base_s),
        first_s=passes_s[0] if passes_s else None,
        compile_s=4.0,
        program=RecordedProgram(code_bytes=1, temporary_bytes=2, argument_bytes=3, output_bytes=4),
        peak_rss_bytes=1000,
        agreement=agreement_record("bfloat16"),
    )


PARTS = {"denoiser_call": 3, "noise_set": 2, "step_setup": 1}
"""How often each part runs in a pass of the workload."""


def tiny_sweep(
    configurations: Sequence[RecordedConfiguration] | None = None,
    workload: Workload = WORKLOAD,
    parts: Mapping[str, int] = PARTS,
) -> RecordedSweep:
    """Passes of 10 s for stock, 5 s and 9 s for the two changes, and 4 s for both together.

    Other configurations, of another workload, may be given.
    """
    if configurations is None:
        configurations = [
            entry(STOCK, (10.0, 10.0)),
            entry(PRECISION, (5.0, 5.0)),
            entry(ALLOCATOR, (9.0, 9.0)),
            entry(BOTH, (4.0, 4.0)),
        ]
    return RecordedSweep(
        created="2026-01-01T00:00:00+00:00",
        workload=WorkloadRecord(**workload.as_dict()),
        parts=dict(parts),
        machine=MachineRecord(cpu="imagined"),
        allowed_cpus=2,
        versions={"jax": "0.0"},
        starts=STARTS,
        configurations=list(configurations),
    )

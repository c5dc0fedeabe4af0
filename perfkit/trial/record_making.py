"""From what was seen of a trial to the record that it leaves."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Workload
from perfkit.observers.load import load_warnings
from perfkit.observers.observer import Finding
from perfkit.observers.process_tree import Timeline
from perfkit.observers.trace.attribution import scaled
from perfkit.records.findings import AgreementRecord, FiniteRecord, GuardRecord
from perfkit.records.machine import fingerprint, versions
from perfkit.records.roles import Role
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    DisturbedPass,
    Load,
    Observation,
    Outcome,
    Record,
    Samples,
    Stage,
    WorkloadRecord,
)
from perfkit.trial.conditions.surroundings import Surroundings
from perfkit.trial.request import TrialLabels

KEPT_SAMPLES = 600
"""Samples of the process tree in a record; a longer run is thinned."""


@dataclass(frozen=True)
class Measured:
    """All that is known of a trial at its end.

    Parameters
    ----------
    told
        Data of the child's last event of each kind.
    begin_s
        Monotonic clock at the trial's start.
    log
        What the child printed, None where no child was started.
    surroundings
        What the trial inherited.
    dropped
        Passes that were not kept.
    warnings
        What makes the times untrustworthy, on top of the load.
    """

    id: str
    created: str
    workload: Workload
    configuration: Configuration
    labels: TrialLabels
    allowed_cpus: int
    stages: Sequence[Stage]
    told: Mapping[str, Mapping[str, Any]]
    timeline: Timeline | None
    begin_s: float
    load: Load | None
    log: Path | None
    outcome: Outcome
    reason: str
    surroundings: Surroundings
    dropped: Sequence[DisturbedPass] = ()
    warnings: Sequence[str] = ()


def make_record(measured: Measured, store_folder: Path) -> Record:
    """The record of a trial; paths in it are relative to the store's folder."""
    told, timeline = measured.told, measured.timeline
    checked = told.get("checked", {})
    compiled = told.get("compiled")
    peaks = [stage.peak_rss_bytes for stage in measured.stages]
    if timeline is not None:
        peaks.append(timeline.peak_rss_bytes)
    around = measured.surroundings
    # The worker's last notice is the label of the prediction, and stays the last of all.
    notices = [
        *measured.workload.notices,
        *around.notices,
        *told.get("notices", {}).get("notices", []),
    ]
    files = {Path(path).name: Path(path) for path in checked.get("files", [])}
    if measured.log is not None:
        files["log"] = measured.log
    return Record(
        id=measured.id,
        created=measured.created,
        study=measured.labels.study,
        role=Role(measured.labels.role),
        block=measured.labels.block,
        shared_start=measured.labels.shared_start,
        workload=WorkloadRecord(**measured.workload.as_dict()),
        configuration=ConfigurationRecord(
            settings=measured.configuration.as_dict(),
            digest=measured.configuration.digest,
            label=measured.configuration.label,
        ),
        machine=fingerprint(),
        versions=versions(),
        allowed_cpus=measured.allowed_cpus,
        stages=list(measured.stages),
        compilation=Compilation(**compiled) if compiled else None,
        peak_rss_bytes=max(peaks, default=0),
        samples=None if timeline is None else _samples(timeline, measured.begin_s),
        part_times_s=_part_times(measured),
        guard=_found(GuardRecord, told.get("guarded")),
        finite=_found(FiniteRecord, checked.get("finite")),
        agreement=_found(AgreementRecord, checked.get("agreement")),
        artifacts=relative_paths(files, store_folder),
        load=measured.load,
        disturbed_passes=list(measured.dropped),
        left_out_variables=around.left_out,
        passed_on_variables=around.passed_on,
        restrictions=around.restrictions,
        warnings=[*load_warnings(measured.load), *measured.warnings],
        notices=list(dict.fromkeys(notices)),
        outcome=measured.outcome,
        reason=measured.reason,
    )


def with_findings(
    record: Record, findings: Iterable[tuple[str, Finding]], store_folder: Path
) -> Record:
    """The record with what observers found, and links to their files."""
    observations, artifacts = dict(record.observations), dict(record.artifacts)
    for name, finding in findings:
        observations[name] = Observation(data=dict(finding.data), missing=finding.missing)
        artifacts |= relative_paths(finding.files, store_folder)
    return record.model_copy(update={"observations": observations, "artifacts": artifacts})


def relative_paths(files: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """The same files, told from ``folder``."""
    root = folder.resolve()
    return {name: os.path.relpath(path.resolve(), root) for name, path in files.items()}


def _found[Model: BaseModel](model: type[Model], data: Mapping[str, Any] | None) -> Model | None:
    return None if data is None else model.model_validate(data)


def _samples(timeline: Timeline, begin_s: float) -> Samples:
    kept = timeline.thinned(KEPT_SAMPLES).samples
    return Samples(
        time_s=[round(sample.time_s - begin_s, 3) for sample in kept],
        cpu_s=[round(sample.cpu_s, 2) for sample in kept],
        rss_bytes=[sample.rss_bytes for sample in kept],
    )


def _part_times(measured: Measured) -> dict[str, float] | None:
    steady = [stage.wall_s for stage in measured.stages if stage.name == "steady"]
    seconds = measured.told.get("traced", {}).get("seconds")
    if not seconds or not steady:
        return None
    return scaled(seconds, statistics.median(steady))

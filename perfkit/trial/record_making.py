"""The record of a trial, from all that is known at its end."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.observers.load import load_warnings
from perfkit.observers.observer import Finding
from perfkit.observers.process_tree import Timeline
from perfkit.observers.trace.attribution import scaled
from perfkit.packages import Package, provider_of
from perfkit.records.findings import AgreementRecord, FiniteRecord, GuardRecord
from perfkit.records.machine import fingerprint, versions
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    Observation,
    Outcome,
    Record,
    Samples,
    WorkloadRecord,
)
from perfkit.records.stages import StageName
from perfkit.trial.conditions.inherited import Inherited
from perfkit.trial.messages import EventKind
from perfkit.trial.progress import TrialProgress
from perfkit.trial.request import TrialRequest

MAX_SAMPLES = 600
"""Most samples of the process tree in a record; those of a longer run are thinned out."""


@dataclass(frozen=True)
class TrialResult:
    """All that is known of a trial at its end.

    Attributes
    ----------
    id
        Identity of the trial.
    request
        Request for the trial.
    progress
        Stages, warnings and the child's reports.
    allowed_cpus
        Number of CPUs that the child was bound to.
    inherited
        Variables and limits that the trial inherited.
    timeline
        Samples of the process tree, None where no child was started.
    log
        File of what the child printed, None where no child was started.
    outcome
        How the trial ended.
    reason
        Why it ended so, empty for ``ok``.
    """

    id: str
    request: TrialRequest
    progress: TrialProgress
    allowed_cpus: int
    inherited: Inherited
    timeline: Timeline | None
    log: Path | None
    outcome: Outcome
    reason: str


def make_record(result: TrialResult) -> Record:
    """Make the record of a trial; its paths are relative to the store's folder."""
    request, progress, inherited = result.request, result.progress, result.inherited
    reports, timeline, load = progress.reports, result.timeline, progress.load()
    checked, compiled = reports.get(EventKind.CHECKED, {}), reports.get(EventKind.COMPILED)
    peaks = [stage.peak_rss_bytes for stage in progress.stages]
    if timeline is not None:
        peaks.append(timeline.peak_rss_bytes)
    # The worker's last notice is the label of the prediction, and stays the last of all.
    notices = [
        *request.workload.notices,
        *inherited.notices,
        *inherited.faults,
        *progress.notices(),
        *reports.get(EventKind.NOTICES, {}).get("notices", []),
    ]
    files = {Path(path).name: Path(path) for path in checked.get("files", [])}
    if result.log is not None:
        files["log"] = result.log
    return Record(
        id=result.id,
        created=progress.created,
        study=request.labels.study,
        role=request.labels.role,
        block=request.labels.block,
        shared_start=request.labels.shared_start,
        shared_process=request.labels.shared_process,
        instances=request.labels.instances,
        workload=WorkloadRecord(**request.workload.as_dict()),
        configuration=ConfigurationRecord(
            settings=request.configuration.as_dict(),
            digest=request.configuration.digest,
            label=request.configuration.label,
        ),
        machine=fingerprint(),
        versions=versions(request.interpreter),
        model_package=_model_package(request.workload),
        allowed_cpus=result.allowed_cpus,
        stages=list(progress.stages),
        compilation=Compilation(**compiled) if compiled else None,
        peak_rss_bytes=max(peaks, default=0),
        samples=None if timeline is None else samples_of(timeline, progress.begin_s),
        part_times_s=_part_times(progress),
        full_part_times_s=_full_part_times(progress),
        guard=_found(GuardRecord, reports.get(EventKind.GUARDED)),
        finite=_found(FiniteRecord, checked.get("finite")),
        agreement=_found(AgreementRecord, checked.get("agreement")),
        artifacts=relative_paths(files, request.store_folder),
        load=load,
        disturbed_passes=list(progress.dropped),
        left_out_variables=inherited.left_out,
        passed_on_variables=inherited.passed_on,
        restrictions=inherited.restrictions,
        warnings=[*load_warnings(load), *progress.warnings],
        notices=list(dict.fromkeys(notices)),
        outcome=result.outcome,
        reason=result.reason,
    )


def with_findings(
    record: Record, findings: Iterable[tuple[str, Finding]], store_folder: Path
) -> Record:
    """The record with the observers' findings and links to their files."""
    observations, artifacts = dict(record.observations), dict(record.artifacts)
    for name, finding in findings:
        observations[name] = Observation(data=dict(finding.data), missing=finding.missing)
        artifacts |= relative_paths(finding.files, store_folder)
    return record.model_copy(update={"observations": observations, "artifacts": artifacts})


def relative_paths(files: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """The same files with paths relative to ``folder``."""
    root = folder.resolve()
    return {name: os.path.relpath(path.resolve(), root) for name, path in files.items()}


def _model_package(workload: Workload) -> Package | None:
    """The package whose code predicts; None for a model that is not installed."""
    try:
        model = get_model(workload.model)
    except UserError:
        return None
    return provider_of(model.package(workload))


def _found[Model: BaseModel](model: type[Model], data: Mapping[str, Any] | None) -> Model | None:
    return None if data is None else model.model_validate(data)


def samples_of(timeline: Timeline, begin_s: float) -> Samples:
    """At most :data:`MAX_SAMPLES` samples, with times since ``begin_s``."""
    samples = timeline.thinned(MAX_SAMPLES).samples
    return Samples(
        time_s=[round(sample.time_s - begin_s, 3) for sample in samples],
        cpu_s=[round(sample.cpu_s, 2) for sample in samples],
        rss_bytes=[sample.rss_bytes for sample in samples],
    )


def _part_times(progress: TrialProgress) -> dict[str, float] | None:
    steady = [stage.wall_s for stage in progress.stages if stage.name is StageName.STEADY]
    seconds = progress.reports.get(EventKind.TRACED, {}).get("seconds")
    if not seconds or not steady:
        return None
    return scaled(seconds, statistics.median(steady))


def _full_part_times(progress: TrialProgress) -> dict[str, float] | None:
    """Seconds of each part of a full pass, corrected for the time that tracing took."""
    measured = _part_times(progress)
    traced = progress.reports.get(EventKind.TRACED, {})
    if not measured or not traced.get("full_seconds"):
        return None
    factor = sum(measured.values()) / sum(traced["seconds"].values())
    return {name: seconds * factor for name, seconds in traced["full_seconds"].items()}

"""The record of a command of the user, for ``perfkit compare`` and ``perfkit report``."""

from __future__ import annotations

import secrets
import shlex
import signal
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from perfkit.files import short_digest
from perfkit.foreign.report import ForeignReport
from perfkit.knobs.configuration import STOCK
from perfkit.models.workload import Workload
from perfkit.records.bounded import SHORTEST_PASS_S
from perfkit.records.findings import GuardRecord
from perfkit.records.machine import fingerprint, restrictions_here, versions
from perfkit.records.roles import Role
from perfkit.records.schema import (
    ConfigurationRecord,
    Observation,
    Outcome,
    Record,
    Stage,
    WorkloadRecord,
)
from perfkit.records.stages import StageName
from perfkit.trial.conditions.jaxlib_standing import standing_notices
from perfkit.trial.record_making import samples_of
from perfkit.tuning.foreign_runs.run import ForeignRun

OBSERVATION = "foreign"
"""Name of the observation with the exit code and the compilations of the command."""

UNKNOWN_MODEL = "unknown"
"""Model of a command in which perfkit recognises none."""

NOTICE = (
    "a command of the user, not a trial of perfkit: its only pass is the whole command, from its "
    "start to its end, with imports and compilation; its answer was not compared"
)


def foreign_record(run: ForeignRun) -> Record:
    """Make the record of a command.

    Its only pass is the whole command. The name and the size of the input are those that the
    model's adapter reports, else the command line and 0.
    """
    configuration = STOCK if run.request.preset is None else run.request.preset.configuration
    outcome, reason = _outcome(run)
    begin_s = run.timeline.samples[0].time_s if run.timeline.samples else 0.0
    return Record(
        id=f"{datetime.fromisoformat(run.created):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        created=run.created,
        role=Role.FOREIGN,
        workload=WorkloadRecord(**_workload(run).as_dict()),
        configuration=ConfigurationRecord(
            settings=configuration.as_dict(),
            digest=configuration.digest,
            label=configuration.label,
        ),
        machine=fingerprint(),
        versions=_versions(run.report),
        allowed_cpus=run.allowed_cpus,
        stages=_stages(run),
        peak_rss_bytes=run.peak_rss_bytes,
        samples=samples_of(run.timeline, begin_s),
        guard=_guard(run),
        observations={OBSERVATION: Observation(data=_observed(run))},
        restrictions=restrictions_here()[0],
        notices=[NOTICE, *run.sentences, *run.report.sentences, *_jaxlib_notices(run.report)],
        outcome=outcome,
        reason=reason,
    )


def _workload(run: ForeignRun) -> Workload:
    command, inputs = run.request.command, run.report.inputs
    name = " ".join(Path(word).name for word in command[:2])
    size, same = 0, short_digest(list(command))
    if inputs:
        # The same inputs are the same workload, whatever the folder that the command writes to.
        name = inputs[0][0] if len(inputs) == 1 else f"{len(inputs)} inputs"
        size, same = max(size for _, size in inputs), short_digest(sorted(inputs))
    return Workload(
        model=_model(run),
        name=name,
        size=size,
        source={"command": shlex.join(command)},
        fidelity={},
        input_digest=same,
    )


def _model(run: ForeignRun) -> str:
    used = run.report.models
    if run.request.preset is not None and (run.request.preset.model in used or not used):
        return run.request.preset.model
    return next(iter(used), UNKNOWN_MODEL)


def _jaxlib_notices(report: ForeignReport) -> tuple[str, ...]:
    """The warning about wrong answers of the command's jaxlib, if it was examined."""
    used = report.jaxlib
    return () if used is None else standing_notices(used.xla_flags, used.build)


def _versions(report: ForeignReport) -> dict[str, str | None]:
    """Versions of the command's environment, which may be another one than perfkit's."""
    own = versions()
    return {**report.versions, "perfkit": own["perfkit"], "perfkit_commit": own["perfkit_commit"]}


def _stages(run: ForeignRun) -> list[Stage]:
    ended = run.ended
    if ended.wall_s < SHORTEST_PASS_S:
        return []
    whole = Stage(
        name=StageName.STEADY,
        begin_s=0.0,
        wall_s=ended.wall_s,
        user_s=ended.user_s,
        system_s=ended.system_s,
        minor_faults=ended.minor_faults,
        major_faults=ended.major_faults,
        voluntary_switches=ended.voluntary_switches,
        involuntary_switches=ended.involuntary_switches,
        peak_rss_bytes=run.peak_rss_bytes,
    )
    return [whole]


def _guard(run: ForeignRun) -> GuardRecord | None:
    if run.request.guard is None:
        return None
    return GuardRecord.model_validate({"mode": run.request.guard, **run.report.guard})


def _observed(run: ForeignRun) -> dict[str, JsonValue]:
    compiled = run.report.compilations
    return {
        "exit_code": run.ended.code,
        "inputs": [{"name": name, "size": size} for name, size in run.report.inputs],
        "compile_cache_hits": compiled.hits,
        "compile_cache_misses": compiled.misses,
        "uncached_compilations": compiled.uncached,
        "compile_s": compiled.wall_s,
        "settings_applied": {name: outcome.times for name, outcome in run.report.settings.items()},
        "settings_not_applied": {
            name: list(outcome.reasons)
            for name, outcome in run.report.settings.items()
            if outcome.reasons
        },
    }


def _outcome(run: ForeignRun) -> tuple[Outcome, str]:
    number = run.ended.by_signal
    if number == signal.SIGINT:
        return Outcome.INTERRUPTED, "the command was interrupted"
    if number is not None:
        return Outcome.CRASHED, f"the command was ended by {signal.Signals(number).name}"
    if run.ended.code:
        return Outcome.CRASHED, f"the command ended with the exit code {run.ended.code}"
    return Outcome.OK, ""

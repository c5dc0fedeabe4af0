"""A recorded sweep, a runner that replays and watches it, and hand-made records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from benchmarks.recorded import RecordedConfiguration, RecordedSweep, read_sweep
from benchmarks.replayed import ReplayedTrial, ReplayRunner
from benchmarks.virtual_trials import agreement_record, configuration_record, virtual_stage
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Layer
from perfkit.models.base import Model
from perfkit.models.gencast.model import GenCast
from perfkit.models.workload import Workload
from perfkit.records.findings import MachineRecord
from perfkit.records.roles import Role
from perfkit.records.schema import Compilation, Outcome, Record, WorkloadRecord
from perfkit.trial.request import TrialFiles, TrialLabels

SWEEP = read_sweep(Path(__file__).parents[1] / "data" / "gencast-10deg.json.xz")
"""A sweep of GenCast on a grid of 10 degrees, with every combination of its values."""

MODEL = GenCast()
"""The model of the sweep."""

RECORDED = SWEEP.as_workload()
"""The workload of the sweep."""

WORKLOAD = Workload(
    model="af3",
    name="hand-made",
    size=76,
    source={"size": 76},
    fidelity={"recycles": 0, "steps": 4, "samples": 1, "seeds": 1},
    input_digest="0123",
)


class Fields(TypedDict, total=False):
    """Fields of a record that a test may choose; ``agreement`` is the class that was reached."""

    id: str
    role: str
    block: str | None
    workload: WorkloadRecord
    compilation: Compilation
    part_times_s: dict[str, float]
    peak_rss_bytes: int
    agreement: str | None
    outcome: Outcome
    reason: str


def record(
    settings: Mapping[str, str] | None = None,
    *,
    times: Mapping[int, float] | None = None,
    **fields: Unpack[Fields],
) -> Record:
    """A record of ``settings`` with a steady pass for each round of ``times``, in seconds.

    By default it is that of a screened candidate that agrees in bfloat16.
    """
    configuration = Configuration(tuple(sorted((settings or {}).items())))
    role = Role(fields.get("role", "screen"))
    reached = fields.get("agreement", "bfloat16")
    passes = (times or {}).items()
    return Record(
        id=fields.get("id", f"{configuration.digest}-{role}"),
        created="2026-01-01",
        role=role,
        block=fields.get("block"),
        workload=fields.get("workload", WorkloadRecord(**WORKLOAD.as_dict())),
        configuration=configuration_record(configuration),
        machine=MachineRecord(cpu="virtual"),
        versions={},
        allowed_cpus=2,
        stages=[virtual_stage("steady", wall_s, number) for number, wall_s in passes],
        compilation=fields.get("compilation"),
        part_times_s=fields.get("part_times_s"),
        peak_rss_bytes=fields.get("peak_rss_bytes", 0),
        agreement=None if reached is None else agreement_record(reached),
        outcome=fields.get("outcome", Outcome.OK),
        reason=fields.get("reason", ""),
    )


type Alter = Callable[[Role, Configuration, RecordedConfiguration], RecordedConfiguration]
"""Changes what was recorded of a configuration for a trial, e.g. to make it die."""


def as_recorded(
    role: Role, configuration: Configuration, entry: RecordedConfiguration
) -> RecordedConfiguration:
    """Change nothing."""
    return entry


class WatchedRunner(ReplayRunner):
    """Replays a sweep, keeps what was opened and passed, and may be interrupted.

    Parameters
    ----------
    alter
        Changes what was recorded; called once per trial.
    interrupt_at
        Number of the step at which Ctrl-C is pressed, None for never.
    number
        Number of records that exist already.
    sweep, model
        The sweep and its model; by default the recorded one of the tests.

    Attributes
    ----------
    calls
        Number of steps so far.
    opened
        Role and configuration of each trial, in order.
    """

    def __init__(
        self,
        alter: Alter = as_recorded,
        *,
        interrupt_at: int | None = None,
        number: int = 0,
        sweep: RecordedSweep = SWEEP,
        model: Model = MODEL,
    ) -> None:
        super().__init__(sweep, model, number=number)
        self.calls = 0
        self.opened: list[tuple[str, Configuration]] = []
        self._alter = alter
        self._interrupt_at = interrupt_at
        # Instances that run side by side are driven by threads.
        self.lock = threading.Lock()

    def spend(self, step: str, seconds: float = 0.0) -> None:
        """Count a step, which may be the one that is interrupted, and advance the clock."""
        with self.lock:
            self.calls += 1
            interrupted = self.calls == self._interrupt_at
        if interrupted:
            raise KeyboardInterrupt
        super().spend(step, seconds)

    def entry(self, configuration: Configuration, role: Role) -> RecordedConfiguration:
        """The recorded behaviour, altered."""
        return self._alter(role, configuration, super().entry(configuration, role))

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> ReplayedTrial:
        """A trial that has not been started."""
        self.opened.append((labels.role, configuration))
        return super().trial(workload, configuration, labels, files)


class RunnerOfVersions(WatchedRunner):
    """Replays a configuration as it was recorded, under whichever version of jaxlib."""

    def entry(self, configuration: Configuration, role: Role) -> RecordedConfiguration:
        """The recorded behaviour of the settings without the version."""
        rest = [
            (setting, layer)
            for setting, layer in zip(configuration.settings, configuration.layers, strict=True)
            if layer is not Layer.PACKAGES
        ]
        settings, layers = zip(*rest, strict=True) if rest else ((), ())
        return super().entry(Configuration(settings, layers), role)


def recorded(settings: Mapping[str, str]) -> RecordedConfiguration:
    """The recorded entry of some settings."""
    return SWEEP.by_settings[tuple(sorted(settings.items()))]


def dying(entry: RecordedConfiguration, passes: int) -> RecordedConfiguration:
    """The entry of a trial that crashes after a number of passes."""
    return entry.model_copy(
        update={
            "outcome": Outcome.CRASHED,
            "passes_s": entry.passes_s[:passes],
            "base_s": entry.base_s[:passes],
        }
    )


def disagreeing(entry: RecordedConfiguration) -> RecordedConfiguration:
    """The entry of a trial that is as quick, and whose answer is wrong."""
    return entry.model_copy(
        update={"outcome": Outcome.DISAGREES, "agreement": agreement_record("none")}
    )


class Listener:
    """A progress that keeps the sentences."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def trial_started(self, role: str, label: str) -> None:
        """Do nothing."""

    def stage(self, stage: str) -> None:
        """Do nothing."""

    def trial_finished(self, record: Record) -> None:
        """Do nothing."""

    def say(self, sentence: str) -> None:
        """Keep the sentence."""
        self.said.append(sentence)


def roles(records: Sequence[Record], role: str) -> list[Record]:
    """The records of one role."""
    return [one for one in records if one.role == role]

"""A runner that replays a table on a virtual clock, and records worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Workload
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    Outcome,
    Record,
    Stage,
    WorkloadRecord,
)
from perfkit.trial.answers import save_answers
from perfkit.trial.request import TrialFiles, TrialLabels
from tests.support.records_factory import make_stage

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)

START_S = 5.0
"""Virtual seconds from the start of a trial to its first pass."""

WORKLOAD = Workload(
    model="af3",
    name="hand-made",
    size=76,
    source={"size": 76},
    fidelity={"recycles": 0, "steps": 4, "samples": 1, "seeds": 1},
    input_digest="0123",
)


def stage(name: str, wall_s: float, round_number: int | None = None, begin_s: float = 0.0) -> Stage:
    """A stage of one CPU's work."""
    return make_stage(
        name, begin_s, wall_s, cpu_share=1.0, round_number=round_number, peak_rss_bytes=1000
    )


def record(
    settings: dict[str, str] | None = None,
    *,
    times: dict[int, float] | None = None,
    outcome: Outcome = Outcome.OK,
    agreement: str | None = "bfloat16",
    **more: Any,
) -> Record:
    """A record of ``settings`` with a steady time for each round."""
    configuration = Configuration(tuple(sorted((settings or {}).items())))
    judged = None
    if agreement is not None:
        judged = {"class": agreement, "quantities": [{"name": "plddt", "distance": 0.01}]}
    stages = [stage("steady", wall_s, number) for number, wall_s in (times or {}).items()]
    fields: dict[str, Any] = {
        "id": f"{configuration.digest}-{more.get('role', 'screen')}",
        "created": "2026-01-01",
        "role": "screen",
        "workload": WorkloadRecord(**WORKLOAD.as_dict()),
        "configuration": ConfigurationRecord(
            settings=configuration.as_dict(),
            digest=configuration.digest,
            label=configuration.label,
        ),
        "machine": {"cpu": "virtual"},
        "versions": {},
        "allowed_cpus": 2,
        "stages": stages,
        "agreement": judged,
        "outcome": outcome,
    }
    return Record(**{**fields, **more})


@dataclass(frozen=True)
class Behaviour:
    """What a configuration does: seconds a pass, how it ends, and after how many passes it dies.

    ``noise`` are factors that its passes take in turn; no pass of a ``disturbed`` one is kept.
    """

    seconds: float
    outcome: Outcome = Outcome.OK
    dies_after: int | None = None
    noise: tuple[float, ...] = (1.0,)
    disturbed: bool = False


@dataclass
class ReplayTrial:
    """A trial whose passes advance the runner's clock."""

    runner: ReplayRunner
    workload: Workload
    configuration: Configuration
    labels: TrialLabels
    files: TrialFiles
    stages: list[Stage] = field(default_factory=list)
    traced: bool = False

    def __post_init__(self) -> None:
        """Look up what will happen."""
        self.behaviour = self.runner.table(self.configuration)
        steps = self.workload.fidelity["steps"] / WORKLOAD.fidelity["steps"]
        self.pass_s = self.behaviour.seconds * steps

    @property
    def _dead(self) -> bool:
        passes = sum(one.name == "steady" for one in self.stages)
        return self.behaviour.dies_after is not None and passes >= self.behaviour.dies_after

    @property
    def alive(self) -> bool:
        """Whether it has not died."""
        return not self._dead

    def start(self) -> None:
        """Count the call, and remember when: what starts side by side waits for each other."""
        self.begun_s = self.runner.clock_s
        self.runner.call("start")

    def wait_ready(self) -> bool:
        """The first pass; it never comes where a trial dies after no pass."""
        self.runner.call("ready", START_S + self.pass_s)
        if self._dead:
            return False
        begin_s = self.runner.clock_s - self.begun_s - self.pass_s
        self.stages.append(stage("first", self.pass_s, begin_s=begin_s))
        return True

    def steady_pass(self, round_number: int) -> Stage | None:
        """A pass of the table's seconds, with the noise of its turn."""
        noise = self.behaviour.noise
        wall_s = self.pass_s * noise[sum(one.name == "steady" for one in self.stages) % len(noise)]
        self.runner.call("pass", wall_s)
        self.runner.passed.append(self.configuration)
        if self._dead or self.behaviour.disturbed:
            return None
        begin_s = self.runner.clock_s - self.begun_s - wall_s
        self.stages.append(stage("steady", wall_s, round_number, begin_s))
        return self.stages[-1]

    def trace_parts(self) -> bool:
        """A traced pass."""
        self.runner.call("trace", self.pass_s)
        self.traced = True
        return True

    def check(self) -> bool:
        """The table's word."""
        self.runner.call("check")
        return not self._dead and self.behaviour.outcome is Outcome.OK

    def finish(self) -> Record:
        """The record; the reference leaves its file."""
        self.runner.call("finish")
        outcome = self.behaviour.outcome
        if self._dead:
            outcome = Outcome.CRASHED
        elif self.files.save_compared is not None:
            save_answers(self.files.save_compared, {})
        return self._record(outcome)

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """The record of a trial that was ended at once."""
        return self._record(outcome, reason)

    def _record(self, outcome: Outcome, reason: str = "") -> Record:
        self.runner.number += 1
        agreement = None
        known = self.files.reference is not None and self.files.reference.exists()
        if known and outcome in (Outcome.OK, Outcome.DISAGREES):
            agreement = "none" if outcome is Outcome.DISAGREES else "bfloat16"
        return record(
            self.configuration.as_dict(),
            outcome=outcome,
            reason=reason,
            agreement=agreement,
            id=f"{self.runner.number:06}",
            created=(MIDNIGHT + timedelta(seconds=self.runner.number)).isoformat(),
            study=self.labels.study,
            role=self.labels.role,
            block=self.labels.block,
            shared_start=self.labels.shared_start,
            workload=WorkloadRecord(**self.workload.as_dict()),
            stages=self.stages,
            compilation=compilation({"diffusion_step": self.workload.fidelity["steps"]}),
            part_times_s={"diffusion_step": self.pass_s} if self.traced else None,
        )


def compilation(parts: dict[str, int]) -> Compilation:
    """A compiled program that runs ``parts``."""
    return Compilation(
        cache="off",
        temporary_bytes=0,
        argument_bytes=0,
        output_bytes=0,
        code_bytes=0,
        flops=0.0,
        bytes_accessed=0.0,
        parts=parts,
    )


class ReplayRunner:
    """Makes trials from a table, on a clock that only they advance.

    Parameters
    ----------
    table
        What each configuration does.
    interrupt_at
        Number of the call at which Ctrl-C is pressed, None for never.
    """

    def __init__(
        self,
        table: Callable[[Configuration], Behaviour],
        interrupt_at: int | None = None,
        number: int = 0,
    ) -> None:
        self.table = table
        self.clock_s = 1000.0
        self.calls = 0
        self.number = number
        self.opened: list[tuple[str, Configuration]] = []
        self.passed: list[Configuration] = []
        self._interrupt_at = interrupt_at

    def call(self, word: str, cost_s: float = 0.0) -> None:
        """Count a call, which may be the one that is interrupted, and pay for it."""
        self.calls += 1
        if self.calls == self._interrupt_at:
            raise KeyboardInterrupt
        self.clock_s += cost_s

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> ReplayTrial:
        """A trial that has not been started."""
        self.opened.append((labels.role, configuration))
        return ReplayTrial(self, workload, configuration, labels, files)

    def now_s(self) -> float:
        """The virtual clock."""
        return self.clock_s


class Listener:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def trial_started(self, role: str, label: str) -> None:
        """Nothing to draw."""

    def stage(self, stage: str) -> None:
        """Nothing to draw."""

    def trial_finished(self, record: Record) -> None:
        """Nothing to draw."""

    def say(self, sentence: str) -> None:
        """Remember."""
        self.said.append(sentence)


def roles(records: Sequence[Record], role: str) -> list[Record]:
    """The records of one role."""
    return [one for one in records if one.role == role]

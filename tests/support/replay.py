"""A runner that replays a table on a virtual clock, and hand-made records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

from benchmarks.virtual_trials import (
    VirtualTrial,
    agreement_record,
    configuration_record,
    virtual_compilation,
    virtual_stage,
)
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.findings import AgreementRecord, MachineRecord
from perfkit.records.roles import Role
from perfkit.records.schema import Compilation, Outcome, Record, WorkloadRecord
from perfkit.trial.request import TrialFiles, TrialLabels

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


@dataclass(frozen=True)
class Behaviour:
    """How trials of a configuration behave.

    Attributes
    ----------
    seconds
        Seconds per pass.
    outcome
        How they end.
    dies_after
        Number of steady passes after which they crash, None for never.
    noise
        Factors of the seconds, which the passes take in turn.
    disturbed
        Whether no pass counts.
    """

    seconds: float
    outcome: Outcome = Outcome.OK
    dies_after: int | None = None
    noise: tuple[float, ...] = (1.0,)
    disturbed: bool = False


class ReplayTrial(VirtualTrial):
    """A trial that behaves as the runner's table says."""

    def __init__(
        self,
        runner: ReplayRunner,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> None:
        super().__init__(runner, workload, configuration, labels, files)
        self._runner = runner
        self._behaviour = runner.table(configuration)

    def start_s(self) -> float:
        """Always the same."""
        return START_S

    def pass_s(self) -> float:
        """The table's seconds, in proportion to the diffusion steps, with the noise of the turn."""
        noise = self._behaviour.noise
        steps = self.workload.fidelity["steps"] / WORKLOAD.fidelity["steps"]
        return self._behaviour.seconds * steps * noise[self.passes % len(noise)]

    @property
    def alive(self) -> bool:
        """Whether it has fewer passes than it survives."""
        survives = self._behaviour.dies_after
        return survives is None or self.passes < survives

    def keeps_pass(self) -> bool:
        """Neither after its death nor where all passes are disturbed."""
        self._runner.passed.append(self.configuration)
        return self.alive and not self._behaviour.disturbed

    def outcome(self) -> Outcome:
        """The table's outcome, or a crash."""
        return self._behaviour.outcome if self.alive else Outcome.CRASHED

    def agreement(self, outcome: Outcome) -> AgreementRecord | None:
        """A verdict where there is a reference and an answer."""
        reference = self.files.reference
        if reference is None or not reference.exists():
            return None
        if outcome not in (Outcome.OK, Outcome.DISAGREES):
            return None
        return agreement_record("none" if outcome is Outcome.DISAGREES else "bfloat16")

    def compilation(self) -> Compilation:
        """A program of diffusion steps alone."""
        return virtual_compilation({"diffusion_step": self.workload.fidelity["steps"]})


class ReplayRunner:
    """Makes trials from a table, on a clock that only they advance.

    Parameters
    ----------
    table
        Behaviour of each configuration.
    interrupt_at
        Number of the step at which Ctrl-C is pressed, None for never.
    number
        Number of records that exist already.
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
        # Instances that run side by side are driven by threads.
        self.lock = threading.Lock()

    def spend(self, step: str, seconds: float = 0.0) -> None:
        """Count a step, which may be the one that is interrupted, and advance the clock."""
        with self.lock:
            self.calls += 1
            if self.calls == self._interrupt_at:
                raise KeyboardInterrupt
            self.clock_s += seconds

    def next_number(self) -> int:
        """Number of the next record."""
        with self.lock:
            self.number += 1
            return self.number

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

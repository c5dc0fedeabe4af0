"""Trials without processes: passes advance a virtual clock, and leave records as real ones do.

Simulated studies (:mod:`benchmarks.simulated`) draw the seconds of a pass from a noise model;
replayed ones (:mod:`benchmarks.replayed`) draw them from a recorded sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.findings import AgreementRecord, MachineRecord
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    Outcome,
    Record,
    Stage,
    WorkloadRecord,
)
from perfkit.records.stages import StageName
from perfkit.trial.answers import save_answers
from perfkit.trial.request import TrialFiles, TrialLabels

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of the virtual clock."""


def virtual_stage(
    name: str,
    wall_s: float,
    round_number: int | None = None,
    begin_s: float = 0.0,
    peak_rss_bytes: int = 1000,
) -> Stage:
    """A stage that keeps one CPU busy."""
    return Stage(
        name=StageName(name),
        begin_s=begin_s,
        wall_s=wall_s,
        user_s=wall_s,
        system_s=0.0,
        minor_faults=0,
        major_faults=0,
        voluntary_switches=0,
        involuntary_switches=0,
        peak_rss_bytes=peak_rss_bytes,
        round=round_number,
    )


def virtual_compilation(parts: Mapping[str, int], cache: str = "off") -> Compilation:
    """A compiled program.

    Parameters
    ----------
    parts
        How often each part of the model runs in one pass.
    cache
        ``off``, ``hit`` or ``miss``.
    """
    return Compilation(
        cache=cache,
        temporary_bytes=0,
        argument_bytes=0,
        output_bytes=0,
        code_bytes=0,
        flops=0.0,
        bytes_accessed=0.0,
        parts=dict(parts),
    )


def configuration_record(configuration: Configuration) -> ConfigurationRecord:
    """The record of a configuration."""
    return ConfigurationRecord(
        settings=configuration.as_dict(),
        digest=configuration.digest,
        label=configuration.label,
    )


def agreement_record(reached: str) -> AgreementRecord:
    """The verdict on an answer with one quantity."""
    quantity = {"name": "plddt", "distance": 0.01}
    return AgreementRecord.model_validate({"class": reached, "quantities": [quantity]})


class VirtualClock(Protocol):
    """A clock that only trials advance, and that numbers their records."""

    def now_s(self) -> float:
        """Seconds since the start."""
        ...

    def spend(self, step: str, seconds: float = 0.0) -> None:
        """Advance the clock by the duration of a step of a trial."""
        ...

    def next_number(self) -> int:
        """A number for the next record, ascending from 1."""
        ...


class VirtualTrial:
    """A trial of one configuration, started and passed in turns by a session.

    Subclasses define the durations of a start and of a pass, and the outcome of the trial.

    Attributes
    ----------
    workload, configuration, labels, files
        As for a real trial.
    stages
        The stages so far.
    traced
        Whether the parts were measured.
    not_written
        Whether a file could not be written: never.
    """

    not_written = False

    def __init__(
        self,
        clock: VirtualClock,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> None:
        self.clock = clock
        self.workload = workload
        self.configuration = configuration
        self.labels = labels
        self.files = files
        self.stages: list[Stage] = []
        self.traced = False

    # -- overridden by subclasses -------------------------------------------------------------

    def start_s(self) -> float:
        """Seconds from the start to the first pass."""
        raise NotImplementedError

    def pass_s(self) -> float:
        """Seconds of a pass that begins now."""
        raise NotImplementedError

    def first_pass_s(self) -> float:
        """Seconds of the first pass."""
        return self.pass_s()

    def check_s(self) -> float:
        """Seconds of a check of the answer."""
        return 0.0

    def keeps_pass(self, wall_s: float) -> bool:
        """Whether the pass that has just ended counts."""
        return self.alive

    def outcome(self) -> Outcome:
        """How the trial ends."""
        return Outcome.OK

    def agreement(self, outcome: Outcome) -> AgreementRecord | None:
        """The verdict on the answer, where it is compared."""
        return agreement_record("bitwise")

    def compilation(self) -> Compilation:
        """The compiled program."""
        return virtual_compilation({})

    def peak_rss_bytes(self) -> int:
        """Peak resident memory."""
        return 0

    # -- a trial as a session drives it -------------------------------------------------------

    @property
    def passes(self) -> int:
        """Number of steady passes so far."""
        return sum(one.name == "steady" for one in self.stages)

    @property
    def alive(self) -> bool:
        """Whether another pass is possible."""
        return True

    def memory(self) -> None:
        """None: memory is not measured."""

    def start(self) -> None:
        """Note the time: trials that start side by side wait for each other."""
        self.begun_s = self.clock.now_s()
        self.clock.spend("start")

    def wait_ready(self) -> bool:
        """Start and pass once; False where the trial dies before its first pass."""
        first_s = self.first_pass_s()
        self.clock.spend("ready", self.start_s() + first_s)
        if not self.alive:
            return False
        self._add("first", first_s, None)
        return True

    def steady_pass(self, round_number: int) -> Stage | None:
        """One pass; None where it does not count."""
        wall_s = self.pass_s()
        self.clock.spend("pass", wall_s)
        return self._add("steady", wall_s, round_number) if self.keeps_pass(wall_s) else None

    def trace_parts(self) -> bool:
        """One pass that measures the parts."""
        self.clock.spend("trace", self.pass_s())
        self.traced = True
        return True

    def check(self) -> bool:
        """Whether the answer is right."""
        self.clock.spend("check", self.check_s())
        return self.alive and self.outcome() is Outcome.OK

    def finish(self) -> Record:
        """The record of the ended trial; a reference leaves its answers."""
        self.clock.spend("finish", self.check_s())
        if self.alive and self.files.save_compared is not None:
            save_answers(self.files.save_compared, {})
        return self._record(self.outcome())

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """The record of a trial that is ended at once."""
        return self._record(outcome, reason)

    def _add(self, name: str, wall_s: float, round_number: int | None) -> Stage:
        begin_s = self.clock.now_s() - self.begun_s - wall_s
        peak = self.peak_rss_bytes()
        self.stages.append(virtual_stage(name, wall_s, round_number, begin_s, peak))
        return self.stages[-1]

    def _record(self, outcome: Outcome, reason: str = "") -> Record:
        number = self.clock.next_number()
        compilation = self.compilation()
        return Record(
            id=f"{number:06}",
            created=(MIDNIGHT + timedelta(seconds=number)).isoformat(),
            study=self.labels.study,
            role=self.labels.role,
            block=self.labels.block,
            shared_start=self.labels.shared_start,
            instances=self.labels.instances,
            shared_process=self.labels.shared_process,
            workload=WorkloadRecord(**self.workload.as_dict()),
            configuration=configuration_record(self.configuration),
            machine=MachineRecord(cpu="virtual"),
            versions={},
            allowed_cpus=2,
            stages=self.stages,
            compilation=compilation,
            peak_rss_bytes=self.peak_rss_bytes(),
            part_times_s=dict.fromkeys(compilation.parts, self.pass_s()) if self.traced else None,
            agreement=self.agreement(outcome),
            outcome=outcome,
            reason=reason,
        )

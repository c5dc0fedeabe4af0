"""Trials as a session drives them, and what makes them."""

from __future__ import annotations

from typing import Protocol

from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.trial.memory_use import MemoryUse
from perfkit.trial.request import TrialFiles, TrialLabels


class Trial(Protocol):
    """A trial as a session drives it, e.g. :class:`perfkit.trial.launcher.TrialProcess`."""

    configuration: Configuration
    not_written: bool

    @property
    def alive(self) -> bool:
        """Whether another pass is possible."""
        ...

    def memory(self) -> MemoryUse | None:
        """Measured memory; None where nothing is measured, or no process runs."""
        ...

    def start(self) -> None:
        """Start the process."""
        ...

    def wait_ready(self) -> bool:
        """Wait for the first pass; False if the trial ended before it."""
        ...

    def steady_pass(self, round_number: int) -> Stage | None:
        """Run a timed pass; None if the trial has ended, or if every attempt was disturbed."""
        ...

    def trace_parts(self) -> bool:
        """Run a traced pass that measures the share of each part; False if that failed."""
        ...

    def check(self) -> bool:
        """Whether the answer is finite and agrees with the reference; the trial stays alive."""
        ...

    def finish(self) -> Record:
        """Check the answer and end the trial."""
        ...

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End the trial at once."""
        ...


class Runner(Protocol):
    """Makes trials: on this machine, or on a virtual clock."""

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> Trial:
        """A trial that has not been started."""
        ...

    def now_s(self) -> float:
        """Seconds of the clock that budgets are measured with."""
        ...

    def available_bytes(self) -> float | None:
        """Memory that a new trial may use now; None where memory is not measured."""
        ...

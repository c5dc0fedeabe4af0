"""What is expected of a job: the fit's prediction, corrected by finished jobs, at stated risks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perfkit.capacity.correction.correction import Correction
from perfkit.capacity.correction.predictive import Predictive, Scores
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.queue.estimate import Request, Risks, RunOption
from perfkit.capacity.queue.machines import Machine
from perfkit.units import count_text


@dataclass(frozen=True)
class Expectation:
    """How the times and memory of jobs are expected and requested.

    Attributes
    ----------
    risks
        Probabilities that a job exceeds what is requested for it.
    correction
        Scores of finished jobs, empty without any.
    """

    risks: Risks = field(default_factory=Risks)
    correction: Correction = field(default_factory=Correction)
    _known: dict[tuple[str, str, str], tuple[Scores, Scores]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def option(
        self,
        number: int,
        fit: ModelFit,
        machine: Machine,
        instances: int,
        time: Range,
        memory: Range,
    ) -> RunOption:
        """Return a job under a preset on a share of a machine.

        Parameters
        ----------
        number
            Index of the fit.
        fit
            The fit.
        machine
            Kind of machine.
        instances
            Number of equal shares of the machine.
        time, memory
            Predictions of the fit on this machine.
        """
        time_scores, memory_scores = self._scores(fit, machine)
        expected_time = Predictive(time, time_scores)
        expected_memory = Predictive(memory, memory_scores)
        return RunOption(
            fit=number,
            instances=instances,
            time=expected_time.range(),
            memory=expected_memory.range(),
            request=Request(
                time_s=expected_time.request(1 - self.risks.time),
                memory_bytes=expected_memory.request(1 - self.risks.memory),
            ),
            fitted_time=time,
            fitted_memory=memory,
        )

    def _scores(self, fit: ModelFit, machine: Machine) -> tuple[Scores, Scores]:
        """Scores of time and memory, which long queues ask for many times."""
        key = (fit.model, fit.label, machine.name)
        if key not in self._known:
            times = self.correction.time_scores(*key)
            memories = self.correction.memory_scores(fit.model, fit.label)
            self._known[key] = (
                Scores(fit.freedom, times),
                Scores(fit.overhead.freedom, memories),
            )
        return self._known[key]

    def notices(self, fits: Sequence[ModelFit]) -> list[str]:
        """Return the number of finished jobs that correct each fit."""
        if not self.correction.jobs:
            return []
        found = []
        for fit in fits:
            own = sum(
                (job.model, job.preset) == (fit.model, fit.label) for job in self.correction.jobs
            )
            found.append(
                f"{fit.model} in {fit.label}: corrected by {count_text(own, 'finished job')}"
                if own
                else f"{fit.model} in {fit.label}: the correction holds no job of this preset"
            )
        return found

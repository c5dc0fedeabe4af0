"""Trials that a session cannot run: compiled only, or several at the same time."""

from __future__ import annotations

from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models.workload import Workload
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest
from perfkit.tuning.side_by_side.together import run_together
from perfkit.tuning.studies.live import LiveRunner


class LiveFitRunner(LiveRunner):
    """Runs the trials of a fit on this machine."""

    @property
    def cpus(self) -> int:
        """Number of CPUs that this process may use."""
        return len(allowed_cpus())

    def compiled(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        time_limit_s: float | None = None,
    ) -> Record:
        """Return the record of a trial that only compiles, whatever memory a run would need."""
        request = TrialRequest(
            workload,
            configuration,
            self._folder,
            Limits(time_s=time_limit_s),
            labels,
            last_stage=StageName.COMPILE,
        )
        trial = TrialProcess(request)
        try:
            trial.start()
            trial.wait_ready()
            return trial.finish()
        except KeyboardInterrupt:
            return trial.abort(Outcome.INTERRUPTED, "interrupted by the user")

    def together(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        rounds: int,
        files: TrialFiles,
    ) -> list[Record]:
        """Run one trial per CPU at the same time, with passes that start together.

        Returns
        -------
        list of Record
            One record per CPU.
        """

        def make() -> TrialProcess:
            return TrialProcess(
                TrialRequest(workload, configuration, self._folder, labels=labels, files=files)
            )

        return run_together(
            make,
            [(cpu,) for cpu in allowed_cpus()],
            rounds,
            # A repeated pass would run alone instead of in step with the others.
            steady=lambda trial, number: trial.steady_pass(number, attempts=1),
        )

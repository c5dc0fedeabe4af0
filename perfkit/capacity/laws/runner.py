"""Trials that a session cannot run: compiled only, or several at the same time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models.workload import Workload
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.request import TrialLabels, TrialRequest
from perfkit.tuning.live import LiveRunner


@dataclass
class _Instance:
    """One of several trials that run at the same time, each bound to its own CPU."""

    make: Callable[[], TrialProcess]
    cpu: int
    rounds: int
    barrier: threading.Barrier
    stop: threading.Event
    records: list[Record] = field(default_factory=list)

    def run(self) -> None:
        """Bind this thread, whose child process inherits the binding, and run the trial."""
        os.sched_setaffinity(0, {self.cpu})
        trial = self.make()
        trial.start()
        try:
            if trial.wait_ready():
                for number in range(self.rounds):
                    self.barrier.wait()
                    # A repeated pass would run alone instead of in step with the others.
                    if self.stop.is_set() or trial.steady_pass(number, attempts=1) is None:
                        break
        except threading.BrokenBarrierError:
            pass
        finally:
            # The others must not wait for a trial that has ended.
            self.barrier.abort()
        if self.stop.is_set():
            self.records.append(trial.abort(Outcome.INTERRUPTED, "interrupted by the user"))
        else:
            self.records.append(trial.finish())


class LiveFitRunner(LiveRunner):
    """Runs the trials of a fit on this machine."""

    @property
    def cpus(self) -> int:
        """Number of CPUs that this process may use."""
        return len(allowed_cpus())

    def compiled(
        self, workload: Workload, configuration: Configuration, labels: TrialLabels
    ) -> Record:
        """Return the record of a trial that only compiles, whatever memory a run would need."""
        request = TrialRequest(
            workload, configuration, self._folder, labels=labels, last_stage=StageName.COMPILE
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
    ) -> list[Record]:
        """Run one trial per CPU at the same time, with passes that start together.

        Returns
        -------
        list of Record
            One record per CPU.
        """
        cpus = allowed_cpus()
        barrier, stop = threading.Barrier(len(cpus)), threading.Event()

        def make() -> TrialProcess:
            return TrialProcess(TrialRequest(workload, configuration, self._folder, labels=labels))

        instances = [_Instance(make, cpu, rounds, barrier, stop) for cpu in cpus]
        threads = [threading.Thread(target=instance.run) for instance in instances]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            stop.set()
            barrier.abort()
            for thread in threads:
                thread.join()
        return [record for instance in instances for record in instance.records]

"""Trials measured in turns: started one after the other, passed through round by round."""

from __future__ import annotations

import secrets
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Workload
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.stats.bootstrap import Interval, paired_ratio
from perfkit.trial.request import TrialFiles, TrialLabels


class Trial(Protocol):
    """What a session needs of a trial; :class:`perfkit.trial.launcher.TrialProcess` has it."""

    configuration: Configuration

    def start(self) -> None:
        """Start the child."""
        ...

    def wait_ready(self) -> bool:
        """Whether it has compiled and run once."""
        ...

    def steady_pass(self, round_number: int) -> Stage | None:
        """One timed pass, None when it has ended."""
        ...

    def trace_parts(self) -> bool:
        """One more pass, which tells the parts' shares."""
        ...

    def check(self) -> bool:
        """See :meth:`TrialProcess.check`."""
        ...

    def finish(self) -> Record:
        """Check the answer and end."""
        ...

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End at once."""
        ...


class Runner(Protocol):
    """What makes trials: on this machine, or replayed from records."""

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
        """The clock that budgets are counted on."""
        ...


class Progress(Protocol):
    """Who is told how a study goes on."""

    def trial_started(self, role: str, label: str) -> None:
        """A trial has been started."""
        ...

    def trial_finished(self, record: Record) -> None:
        """A trial has left its record."""
        ...

    def say(self, sentence: str) -> None:
        """Something that a person should know."""
        ...


@dataclass
class _Member:
    trial: Trial
    role: str
    busy: bool = False


class Session:
    """Trials of one study that may be alive side by side.

    Every record is passed to ``keep`` as soon as it exists. Leaving the session (a ``with``
    block) by an exception ends what is under way as ``interrupted`` and finishes what is idle,
    so that nothing that was measured is lost.

    Parameters
    ----------
    runner, progress
        What makes trials, and who is told.
    study
        The study's digest.
    keep
        Takes each record.
    """

    def __init__(
        self, runner: Runner, progress: Progress, study: str, keep: Callable[[Record], None]
    ) -> None:
        self._runner = runner
        self._progress = progress
        self._study = study
        self._keep = keep
        self._block = secrets.token_hex(4)
        self._members: dict[str, _Member] = {}
        self._times: dict[str, dict[int, float]] = defaultdict(dict)
        self._round = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        late: KeyboardInterrupt | None = None
        for member in list(self._members.values()):
            try:
                if kind is not None and member.busy:
                    record = self._aborted(member)
                else:
                    record = member.trial.finish()
            except KeyboardInterrupt as interrupt:
                # Ctrl-C while trials are finished must not cost the records of the others.
                late, record = interrupt, self._aborted(member)
            self._done(member, record)
        if late is not None and kind is None:
            raise late

    def _aborted(self, member: _Member) -> Record:
        return member.trial.abort(Outcome.INTERRUPTED, "interrupted by the user")

    def open(
        self,
        workload: Workload,
        configuration: Configuration,
        role: str,
        files: TrialFiles | None = None,
    ) -> bool:
        """Start a trial and keep it alive; False where it ended before its first pass did."""
        labels = TrialLabels(self._study, role, self._block)
        trial = self._runner.trial(workload, configuration, labels, files or TrialFiles())
        member = _Member(trial, role, busy=True)
        self._members[configuration.digest] = member
        self._progress.trial_started(role, configuration.label)
        trial.start()
        if trial.wait_ready():
            member.busy = False
            return True
        self._done(member, trial.finish())
        return False

    def is_open(self, configuration: Configuration) -> bool:
        """Whether the configuration's trial is alive."""
        return configuration.digest in self._members

    def rounds(self, configurations: Sequence[Configuration], count: int) -> None:
        """So many rounds: one pass of each configuration's trial in turn, round by round."""
        for _ in range(count):
            for configuration in configurations:
                member = self._members.get(configuration.digest)
                if member is None:
                    continue
                member.busy = True
                passed = member.trial.steady_pass(self._round)
                member.busy = False
                if passed is None:
                    self._done(member, member.trial.finish())
                else:
                    self._times[configuration.digest][self._round] = passed.wall_s
            self._round += 1

    def ratio(self, base: Configuration, other: Configuration) -> Interval | None:
        """Speed-up of ``other`` over ``base`` from this session's rounds, None without any."""
        first, second = self._times[base.digest], self._times[other.digest]
        common = sorted(first.keys() & second.keys())
        if not common:
            return None
        return paired_ratio([first[r] for r in common], [second[r] for r in common])

    def pass_s(self, configuration: Configuration) -> float | None:
        """Median wall seconds of the configuration's passes in this session, None without any."""
        times = self._times[configuration.digest]
        return statistics.median(times.values()) if times else None

    def check(self, configuration: Configuration) -> bool:
        """Whether the configuration's answer is finite and agrees; its trial stays open."""
        member = self._members.get(configuration.digest)
        if member is None:
            return False
        member.busy = True
        right = member.trial.check()
        member.busy = False
        if not right:
            self.close(configuration)
        return right

    def trace(self, configuration: Configuration) -> None:
        """A pass under the profiler that tells the parts of the configuration's trial."""
        member = self._members.get(configuration.digest)
        if member is None:
            return
        member.busy = True
        member.trial.trace_parts()
        member.busy = False

    def close(self, configuration: Configuration) -> None:
        """Have the answer checked and end the configuration's trial."""
        member = self._members.get(configuration.digest)
        if member is not None:
            member.busy = True
            self._done(member, member.trial.finish())

    def _done(self, member: _Member, record: Record) -> None:
        self._members.pop(member.trial.configuration.digest, None)
        self._keep(record)
        self._progress.trial_finished(record)

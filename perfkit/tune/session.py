"""Trials measured in turns: started side by side, passed through round by round."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Workload
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.trial.interrupts import interrupts_put_off
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tune.progress import Progress
from perfkit.tune.search.evidence import Process


class Trial(Protocol):
    """What a session needs of a trial; :class:`perfkit.trial.launcher.TrialProcess` has it."""

    configuration: Configuration

    @property
    def alive(self) -> bool:
        """Whether another pass may be asked for."""
        ...

    def start(self) -> None:
        """Start the child."""
        ...

    def wait_ready(self) -> bool:
        """Whether it has compiled and run once."""
        ...

    def steady_pass(self, round_number: int) -> Stage | None:
        """One timed pass; None when the trial has ended, or when every attempt was disturbed."""
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


@dataclass(frozen=True)
class Start:
    """A trial that is to be started.

    Parameters
    ----------
    workload, configuration
        What is computed and how.
    role
        Why, for the record.
    files
        What it reads and leaves.
    """

    workload: Workload
    configuration: Configuration
    role: str
    files: TrialFiles = field(default_factory=TrialFiles)


@dataclass
class _Member:
    """A trial of a session; one that is parked has ended to make room and is started anew.

    ``times_s`` holds the passes of the process that is alive, by round.
    """

    start: Start
    trial: Trial | None = None
    busy: bool = False
    used: int = 0
    times_s: dict[int, float] = field(default_factory=dict)


class Session:
    """Trials of one study that are alive side by side as far as memory holds them.

    Every record is passed to ``keep`` as soon as it exists. Leaving the session (a ``with``
    block) by an exception ends what is under way as ``interrupted`` and finishes what is idle,
    so that nothing that was measured is lost.

    Where there is no room for another trial, the one whose turn was longest ago is finished and
    started again for its next pass: the passes stay interleaved, at the price of a start each.

    Parameters
    ----------
    runner, progress
        What makes trials, and who is told.
    study
        The study's digest.
    keep
        Takes each record.
    fits
        Whether memory holds such trials side by side.
    """

    def __init__(
        self,
        runner: Runner,
        progress: Progress,
        study: str,
        keep: Callable[[Record], None],
        fits: Callable[[Sequence[Start]], bool] = lambda starts: True,
    ) -> None:
        self._runner = runner
        self._progress = progress
        self._study = study
        self._keep = keep
        self._fits = fits
        self._block = secrets.token_hex(4)
        self._members: dict[str, _Member] = {}
        self._round = 0
        self._turn = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        late: KeyboardInterrupt | None = None
        for member in list(self._members.values()):
            if member.trial is None:
                continue
            # A second Ctrl-C must cost neither the records of the others nor leave a child.
            try:
                hurry = late is not None or (kind is not None and member.busy)
                record = None if hurry else member.trial.finish()
            except KeyboardInterrupt as interrupt:
                late, record = interrupt, None
            try:
                with interrupts_put_off():
                    self._done(member, record or _aborted(member.trial))
            except KeyboardInterrupt as interrupt:
                late = interrupt
        if late is not None and kind is None:
            raise late

    def open(
        self,
        workload: Workload,
        configuration: Configuration,
        role: str,
        files: TrialFiles | None = None,
    ) -> bool:
        """Start a trial and keep it alive; False where it ended before its first pass did."""
        return self.open_all([Start(workload, configuration, role, files or TrialFiles())])[0]

    def open_all(self, starts: Sequence[Start]) -> list[bool]:
        """Start trials side by side, which compile at once, and keep those alive that get so far.

        Compiling uses the CPUs badly alone, and nothing of it is compared.
        """
        members = [_Member(start) for start in starts]
        if len(starts) > 1 and self._fits(starts):
            for member in members:
                self._begin(member, shared=True)
            return [self._await(member) for member in members]
        return [self._begun(member) for member in members]

    def is_open(self, configuration: Configuration) -> bool:
        """Whether passes of the configuration can be had."""
        return configuration.digest in self._members

    def rounds(self, configurations: Sequence[Configuration], count: int) -> None:
        """So many rounds: one pass of each configuration's trial in turn.

        Every other round goes through them in the opposite order, so that a machine that becomes
        steadily slower or faster favours neither the first nor the last.
        """
        for _ in range(count):
            turn = configurations if self._round % 2 == 0 else tuple(reversed(configurations))
            for configuration in turn:
                member = self._awake(configuration)
                if member is None or member.trial is None:
                    continue
                member.busy = True
                passed = member.trial.steady_pass(self._round)
                member.busy = False
                if passed is not None:
                    member.times_s[self._round] = passed.wall_s
                elif not member.trial.alive:
                    self._done(member, member.trial.finish())
            self._round += 1

    def processes(self) -> list[Process]:
        """The processes that are alive, with their passes so far."""
        return [
            Process(digest, member.start.role, self._block, dict(member.times_s))
            for digest, member in self._members.items()
            if member.trial is not None
        ]

    def passes_s(self, configuration: Configuration) -> list[float]:
        """Wall seconds of the passes of the configuration's process, in their order."""
        member = self._members.get(configuration.digest)
        return [] if member is None else list(member.times_s.values())

    def pass_s(self, configuration: Configuration) -> float | None:
        """Median wall seconds of the passes of the configuration's process, None without any."""
        times_s = self.passes_s(configuration)
        return statistics.median(times_s) if times_s else None

    def check(self, configuration: Configuration) -> bool:
        """Whether the configuration's answer is finite and agrees; its trial stays open."""
        member = self._members.get(configuration.digest)
        if member is None:
            return False
        if member.trial is None:
            # Its answer was judged when it was parked; had it been wrong, it would be gone.
            return True
        member.busy = True
        right = member.trial.check()
        member.busy = False
        if not right:
            self.close(configuration)
        return right

    def trace(self, configuration: Configuration) -> None:
        """A pass under the profiler that tells the parts of the configuration's trial."""
        member = self._awake(configuration)
        if member is None or member.trial is None:
            return
        member.busy = True
        member.trial.trace_parts()
        member.busy = False

    def close(self, configuration: Configuration) -> None:
        """Have the answer checked and end the configuration's trial."""
        member = self._members.get(configuration.digest)
        if member is None:
            return
        if member.trial is None:
            self._members.pop(configuration.digest)
            return
        member.busy = True
        self._done(member, member.trial.finish())

    def close_all(self) -> None:
        """End every trial of the session; more may be opened."""
        for member in list(self._members.values()):
            self.close(member.start.configuration)

    # -- room in memory -----------------------------------------------------------------------

    def _begun(self, member: _Member) -> bool:
        """Start a member's trial alone; whether its first pass came."""
        self._begin(member, shared=False)
        return self._await(member)

    def _begin(self, member: _Member, *, shared: bool) -> None:
        """Start a member's trial, without waiting for it, when there is room."""
        start = member.start
        self._make_room(start)
        labels = TrialLabels(self._study, start.role, self._block, shared)
        member.trial = self._runner.trial(start.workload, start.configuration, labels, start.files)
        member.busy = True
        self._members[start.configuration.digest] = member
        self._progress.trial_started(start.role, start.configuration.label)
        member.trial.start()

    def _await(self, member: _Member) -> bool:
        """Wait for a started trial's first pass; whether it came."""
        assert member.trial is not None
        self._progress.trial_started(member.start.role, member.start.configuration.label)
        self._touch(member)
        if member.trial.wait_ready():
            member.busy = False
            return True
        self._done(member, member.trial.finish())
        return False

    def _awake(self, configuration: Configuration) -> _Member | None:
        """The configuration's member, started again if it was parked; None where it has ended."""
        member = self._members.get(configuration.digest)
        if member is None:
            return None
        if member.trial is None and not self._begun(member):
            return None
        self._touch(member)
        return member

    def _touch(self, member: _Member) -> None:
        self._turn += 1
        member.used = self._turn

    def _make_room(self, start: Start) -> None:
        """Park idle trials, the one used longest ago first, until another one fits."""
        while True:
            alive = [one for one in self._members.values() if one.trial is not None]
            idle = sorted((one for one in alive if not one.busy), key=lambda one: one.used)
            if not idle or self._fits([*(one.start for one in alive), start]):
                return
            self._park(idle[0])

    def _park(self, member: _Member) -> None:
        """End a trial for now; one that ended badly is not started again."""
        assert member.trial is not None
        member.busy = True
        record = member.trial.finish()
        self._done(member, record)
        if record.outcome is Outcome.OK:
            member.trial, member.busy = None, False
            self._members[member.start.configuration.digest] = member

    def _done(self, member: _Member, record: Record) -> None:
        with interrupts_put_off():
            self._members.pop(member.start.configuration.digest, None)
            member.times_s.clear()
            self._keep(record)
            self._progress.trial_finished(record)


def _aborted(trial: Trial) -> Record:
    return trial.abort(Outcome.INTERRUPTED, "interrupted by the user")

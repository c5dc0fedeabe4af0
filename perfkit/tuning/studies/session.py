"""Sessions: trials that are started side by side and measured in turns, round by round."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perfkit.errors import NotWrittenError, UserError
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.interrupts import interrupts_deferred
from perfkit.trial.memory_use import MemoryUse
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.search.processes import Process
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner, Trial


@dataclass(frozen=True)
class Start:
    """The description of a trial to start.

    Attributes
    ----------
    workload, configuration
        What the trial computes, and how.
    role
        Purpose of the trial, for its record.
    files
        Files that the trial reads and writes.
    shared_process
        Whether the trial may run in a process that holds the programs of other trials too.
    """

    workload: Workload
    configuration: Configuration
    role: Role
    files: TrialFiles = field(default_factory=TrialFiles)
    shared_process: bool = False


@dataclass(frozen=True)
class Living:
    """A trial that is alive.

    Attributes
    ----------
    start
        The description that it was started from.
    use
        Its memory; None where it is not measured.
    """

    start: Start
    use: MemoryUse | None


type Fits = Callable[[Sequence[Start], Sequence[Living]], bool]
"""Whether memory holds trials side by side, given all of them, and those of the session that are
alive already; e.g. :meth:`perfkit.tuning.memory_room.MemoryRoom.holds`."""


@dataclass
class _Member:
    """A configuration of a session, with its trial.

    Attributes
    ----------
    start
        How the trial is started.
    trial
        The trial that is alive. None while the member is parked: its trial was ended to make room
        in memory, and is started again for the next pass.
    busy
        Whether the trial is working at this moment.
    used
        Number of the turn in which the trial was last used.
    times_s
        Wall seconds of the passes of the living process, by round.
    """

    start: Start
    trial: Trial | None = None
    busy: bool = False
    used: int = 0
    times_s: dict[int, float] = field(default_factory=dict)


class Session:
    """Trials of one study that are alive side by side, as far as memory holds them.

    Every record is passed on as soon as it exists. Leaving the session (a ``with`` block) by an
    exception ends the trial that is working as ``interrupted`` and finishes the idle ones, so that
    no measurement is lost.

    Where memory has no room for another trial, the least recently used one is finished and started
    again for its next pass: passes stay interleaved, at the price of a start for each.

    Parameters
    ----------
    runner
        Makes the trials.
    progress
        Receives the events.
    study
        Digest of the study.
    keep
        Stores a record.
    fits
        Whether memory holds trials side by side. It is asked before each start, so that a trial
        that needs more memory than was predicted makes the session hold fewer at a time.
    block
        Name of the block; by default a new one. Sessions that take their passes in turns share it.
    """

    def __init__(
        self,
        runner: Runner,
        progress: Progress,
        study: str,
        keep: Callable[[Record], None],
        fits: Fits = lambda starts, living: True,
        block: str | None = None,
    ) -> None:
        self._runner = runner
        self._progress = progress
        self._study = study
        self._keep = keep
        self._fits = fits
        self._block = secrets.token_hex(4) if block is None else block
        self._members: dict[str, _Member] = {}
        self._round = 0
        self._turn = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        late: KeyboardInterrupt | None = None
        unwritten: UserError | None = None
        for member in list(self._members.values()):
            if member.trial is None:
                continue
            # A second Ctrl-C must neither lose the records of the other trials nor leave a process.
            try:
                hurry = late is not None or (kind is not None and member.busy)
                record = None if hurry else member.trial.finish()
            except KeyboardInterrupt as interrupt:
                late, record = interrupt, None
            try:
                with interrupts_deferred():
                    self._done(member, record or _aborted(member.trial, kind))
            except KeyboardInterrupt as interrupt:
                late = interrupt
            except UserError as error:
                # A full disk takes no record; the processes must end all the same.
                unwritten = error
        failure = late or unwritten
        if failure is not None and kind is None:
            raise failure

    def open(
        self,
        workload: Workload,
        configuration: Configuration,
        role: Role,
        files: TrialFiles | None = None,
    ) -> bool:
        """Start a trial and keep it alive; False if it ended before its first pass."""
        return self.open_all([Start(workload, configuration, role, files or TrialFiles())])[0]

    def open_all(self, starts: Sequence[Start]) -> list[bool]:
        """Start trials side by side and keep those alive that reach their first pass.

        Compiling alone uses the CPUs poorly, and compile times are not compared. Trials in shared
        processes start one after another: most of them are programs of one process.

        Returns
        -------
        list of bool
            Whether each trial is alive, in the order of ``starts``.
        """
        members = [_Member(start) for start in starts]
        shared = any(start.shared_process for start in starts)
        if len(starts) > 1 and not shared and self._fits(starts, self.living()):
            return self._start_together(members)
        return [self._start_alone(member) for member in members]

    def living(self) -> list[Living]:
        """The trials that are alive, with their memory."""
        return [
            Living(member.start, member.trial.memory())
            for member in self._members.values()
            if member.trial is not None
        ]

    def is_open(self, configuration: Configuration) -> bool:
        """Whether the configuration can be passed again."""
        return configuration.digest in self._members

    def rounds(self, configurations: Sequence[Configuration], count: int) -> None:
        """Run ``count`` rounds; in a round, each configuration is passed once.

        Every other round runs in the opposite order, so that a machine that becomes steadily slower
        or faster favours neither the first configuration nor the last.
        """
        for _ in range(count):
            turn = configurations if self._round % 2 == 0 else tuple(reversed(configurations))
            for configuration in turn:
                member = self._living(configuration)
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
        """The living processes, with their passes so far."""
        return [
            Process(
                digest,
                member.start.role,
                self._block,
                dict(member.times_s),
                settings=member.start.configuration.settings,
                depth=member.start.workload.depth,
                shared=member.start.shared_process,
            )
            for digest, member in self._members.items()
            if member.trial is not None
        ]

    def passes_s(self, configuration: Configuration) -> list[float]:
        """Wall seconds of the passes of the configuration's process, in order."""
        member = self._members.get(configuration.digest)
        return [] if member is None else list(member.times_s.values())

    def pass_s(self, configuration: Configuration) -> float | None:
        """Median wall seconds of the configuration's passes, or None where it has none."""
        times_s = self.passes_s(configuration)
        return statistics.median(times_s) if times_s else None

    def check(self, configuration: Configuration) -> bool:
        """Whether the configuration's answer is finite and agrees; its trial stays open."""
        member = self._members.get(configuration.digest)
        if member is None:
            return False
        if member.trial is None:
            # The answer was checked when the trial was parked; a wrong one is not kept.
            return True
        member.busy = True
        right = member.trial.check()
        member.busy = False
        if not right:
            self.close(configuration)
        return right

    def trace(self, configuration: Configuration) -> None:
        """Run a traced pass that measures the parts of the model."""
        member = self._living(configuration)
        if member is None or member.trial is None:
            return
        member.busy = True
        member.trial.trace_parts()
        member.busy = False

    def close(self, configuration: Configuration) -> None:
        """Check the configuration's answer and end its trial."""
        member = self._members.get(configuration.digest)
        if member is None:
            return
        if member.trial is None:
            self._members.pop(configuration.digest)
            return
        member.busy = True
        self._done(member, member.trial.finish())

    def close_all(self) -> None:
        """End all trials of the session; others may be opened after that."""
        for member in list(self._members.values()):
            self.close(member.start.configuration)

    # -- room in memory -----------------------------------------------------------------------

    def _start_alone(self, member: _Member) -> bool:
        """Start a member's trial alone; True if it reached its first pass."""
        self._begin(member, shared=False)
        return self._wait_ready(member)

    def _start_together(self, members: Sequence[_Member]) -> list[bool]:
        """Start trials side by side; True for each that reached its first pass.

        If those that have started leave less memory than was predicted, the others wait for them.
        """
        ready: list[bool] = []
        waiting: list[_Member] = []
        for member in members:
            if waiting and not self._has_room(member.start):
                ready += [self._wait_ready(one) for one in waiting]
                waiting.clear()
            self._begin(member, shared=True)
            waiting.append(member)
        return ready + [self._wait_ready(one) for one in waiting]

    def _has_room(self, start: Start) -> bool:
        living = self.living()
        return self._fits([*(one.start for one in living), start], living)

    def _begin(self, member: _Member, *, shared: bool) -> None:
        """Make room, and start a member's trial without waiting for its first pass."""
        start = member.start
        self._make_room(start)
        labels = TrialLabels(self._study, start.role, self._block, shared, start.shared_process)
        member.trial = self._runner.trial(start.workload, start.configuration, labels, start.files)
        member.busy = True
        self._members[start.configuration.digest] = member
        self._progress.trial_started(start.role, start.configuration.label)
        member.trial.start()

    def _wait_ready(self, member: _Member) -> bool:
        """Wait for the first pass of a started trial; True if it was reached."""
        assert member.trial is not None
        self._progress.trial_started(member.start.role, member.start.configuration.label)
        self._touch(member)
        if member.trial.wait_ready():
            member.busy = False
            return True
        self._done(member, member.trial.finish())
        return False

    def _living(self, configuration: Configuration) -> _Member | None:
        """The configuration's member, started again if it was parked; None if it has ended."""
        member = self._members.get(configuration.digest)
        if member is None:
            return None
        if member.trial is None and not self._start_alone(member):
            return None
        self._touch(member)
        return member

    def _touch(self, member: _Member) -> None:
        self._turn += 1
        member.used = self._turn

    def _make_room(self, start: Start) -> None:
        """Park idle trials, the least recently used first, until another one fits."""
        while True:
            idle = sorted(
                (one for one in self._members.values() if one.trial is not None and not one.busy),
                key=lambda member: member.used,
            )
            if not idle or self._has_room(start):
                return
            self._park(idle[0])

    def _park(self, member: _Member) -> None:
        """End a trial for now; a trial that ended badly is not started again."""
        assert member.trial is not None
        member.busy = True
        record = member.trial.finish()
        self._done(member, record)
        if record.outcome is Outcome.OK:
            member.trial, member.busy = None, False
            self._members[member.start.configuration.digest] = member

    def _done(self, member: _Member, record: Record) -> None:
        """Keep the record of a trial that has ended.

        Raises
        ------
        NotWrittenError
            The trial could not write a file. That does not count against its configuration, and
            the trials after it would fail for the same reason.
        """
        unwritten = member.trial is not None and member.trial.not_written
        if unwritten:
            record = record.model_copy(update={"outcome": Outcome.INTERRUPTED})
        with interrupts_deferred():
            self._members.pop(member.start.configuration.digest, None)
            member.times_s.clear()
            self._keep(record)
            self._progress.trial_finished(record)
        if unwritten:
            raise NotWrittenError(record.reason)


def _aborted(trial: Trial, kind: type[BaseException] | None) -> Record:
    failed = kind is not None and not issubclass(kind, KeyboardInterrupt)
    reason = "perfkit ended with an error" if failed else "interrupted by the user"
    return trial.abort(Outcome.INTERRUPTED, reason)

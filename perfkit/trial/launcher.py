"""The parent of a trial: starts the child, commands it, enforces limits, makes the record."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus
from perfkit.knobs.environment import child_environment
from perfkit.observers.observer import Child, Finding, ObservedRun, Process
from perfkit.observers.process_tree import Timeline, TreeSample, tree_rss_bytes
from perfkit.records.journal import ABANDONED, Journal
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.records.stages import LAST_STAGE, StageName
from perfkit.trial.child import GRACE_S, ChildProcess, StartChild, TrialChild
from perfkit.trial.conditions.inherited import inherited_by
from perfkit.trial.conditions.jaxlib_flags import why_flags_are_lacking
from perfkit.trial.events import TimeIsUpError
from perfkit.trial.interrupts import interrupts_deferred
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.memory_use import MemoryUse
from perfkit.trial.messages import Command, Event, EventKind
from perfkit.trial.monitor import Monitor
from perfkit.trial.outcome import outcome_of_check
from perfkit.trial.progress import TrialProgress
from perfkit.trial.record_making import TrialResult, make_record, with_findings
from perfkit.trial.request import TrialRequest, make_folder

OBSERVED_GRACE_S = 300.0
"""Seconds that a child may take to exit if observers work inside it: they write their files."""

MAX_ATTEMPTS = 4
"""How often a pass that was held up is repeated at most, the first attempt included."""


class TrialProcess:
    """A trial in a child process of its own.

    The child stays alive between passes, so that several configurations can be measured in turns.
    Whatever happens to the child, :meth:`finish` returns a record.

    Parameters
    ----------
    request
        Workload, configuration and everything else that the trial needs. Its observers must all
        observe the same child.
    folder
        Folder of the trial's own files; by default a new one in the store's folder.
    observation_only
        Whether the trial only serves its observers and its record is discarded. Such a trial
        keeps no journal and drops no pass.
    start_child
        Starts the child.

    Attributes
    ----------
    id
        Identity of the trial and of its record.
    request, configuration
        The request, and its configuration.
    folder
        Folder of the trial's own files; it exists once the child was started.
    findings
        Name of each observer and what it found; empty until the trial has ended.
    not_written
        Whether the trial failed because it could not write a file.
    on_stage
        Called with the name of each stage that the child enters.
    """

    def __init__(
        self,
        request: TrialRequest,
        *,
        folder: Path | None = None,
        observation_only: bool = False,
        start_child: StartChild = ChildProcess,
    ) -> None:
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.request = request
        self.configuration = request.configuration
        self.folder = request.store_folder / "trials" / self.id if folder is None else folder
        self.findings: list[tuple[str, Finding]] = []
        self.not_written = False
        self.on_stage: Callable[[str], None] = lambda stage: None
        self._observation_only = observation_only
        self._start_child = start_child
        self._child: TrialChild | None = None
        self._monitor: Monitor | None = None
        self._verdict: tuple[Outcome, str] | None = None
        self._affinity = allowed_cpus()
        interpreter = request.interpreter
        build = None if interpreter is None else interpreter.jaxlib_build
        self._inherited = inherited_by(request.configuration, build)
        self._progress = TrialProgress(shared_start=request.labels.shared_start)

    @property
    def pid(self) -> int | None:
        """Process ID of the child, None before it was started."""
        return None if self._child is None else self._child.pid

    @property
    def alive(self) -> bool:
        """Whether another pass is possible: the child was started and has not ended."""
        return self._child is not None and self._verdict is None and not self._child.has_ended()

    def memory(self) -> MemoryUse | None:
        """Measured memory of the child and its own children; None if it is not running."""
        if self.pid is None or not self.alive:
            return None
        resident_bytes = tree_rss_bytes(self.pid)
        stages = self._progress.stages
        return MemoryUse(
            self.pid,
            resident_bytes,
            max([resident_bytes, *(stage.peak_rss_bytes for stage in stages)]),
            passed=any(stage.name is StageName.FIRST for stage in stages),
        )

    def start(self) -> None:
        """Start the child, unless this machine lacks something that the configuration needs."""
        request = self.request
        self._progress = TrialProgress(shared_start=request.labels.shared_start)
        try:
            self._affinity = self.configuration.affinity()
            missing = self.configuration.unavailable() or why_flags_are_lacking(request)
        except UserError as error:
            missing = str(error)
        if missing is not None:
            self._verdict = (Outcome.REJECTED, missing)
            return
        inside = any(observer.process is not Process.TIMED for observer in request.observers)
        with interrupts_deferred():
            # An interrupt in the middle of this would leave a child that nobody ends.
            child = self._start(inside=inside)
        self._progress.warn_of_neighbours()
        if not self._observation_only:
            abandoned = self._record(Outcome.INTERRUPTED, ABANDONED, None)
            self._progress.journal = Journal(request.store_folder, abandoned)
        if inside:
            child.send(Command.GO)

    def wait_ready(self) -> bool:
        """Wait until the child has made its first pass; False if it has ended instead."""
        return self._take_until(lambda event: event.kind is EventKind.READY)

    def steady_pass(self, round_number: int, attempts: int = MAX_ATTEMPTS) -> Stage | None:
        """Run a timed pass.

        A pass that something else held up is dropped and repeated; see
        :mod:`perfkit.trial.conditions.disturbance`.

        Parameters
        ----------
        round_number
            Round that the pass is labelled with.
        attempts
            How often the pass is run at most.

        Returns
        -------
        Stage or None
            None if the child has ended, or if every pass was held up.
        """
        self._progress.round_number = round_number
        for _ in range(attempts):
            if self._monitor is not None:
                self._monitor.sample_now()
            if not self._send(Command.PASS) or not self._take_stage(StageName.STEADY):
                return None
            stage = self._progress.stages[-1]
            if self._observation_only or not stage.disturbed:
                return stage
            self._progress.drop_last_pass()
        self._progress.warn(
            f"no pass of round {round_number} is kept: all of {attempts} were held up"
        )
        return None

    def trace_parts(self) -> bool:
        """Run an untimed pass that measures the parts' shares; False if the child has ended."""
        return self._send(Command.TRACE) and self._take_until(
            lambda event: event.kind is EventKind.TRACED
        )

    def check(self) -> bool:
        """Check the last answer now; True if it is finite and agrees with the reference."""
        # The stage's end comes last. Left unread, it would be taken for the end of a later check.
        if not self._send(Command.CHECK) or not self._take_stage(StageName.CHECK):
            return False
        return outcome_of_check(self._progress.reports[EventKind.CHECKED])[0] is Outcome.OK

    def finish(self) -> Record:
        """Have the answer checked and written, end the child, and return the record."""
        if self._verdict is None and self._send(Command.FINISH):
            self._take_until(lambda event: event.kind is EventKind.ENDED)
        return self._end()

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """Kill the child and return the record, with this outcome unless one stands already."""
        self._decide(outcome, reason)
        return self._end()

    # -- the child ------------------------------------------------------------------------------

    def _start(self, *, inside: bool) -> TrialChild:
        """Start the child and its monitor; ``inside`` if observers work inside the child."""
        request, limits = self.request, self.request.limits
        memory_limit_bytes = limits.effective_memory_bytes()
        names = tuple(observer.name for observer in request.observers) if inside else ()
        make_folder(request.store_folder, self.folder)
        child = self._child = self._start_child(
            request.spec(self._affinity, memory_limit_bytes, names),
            self.folder,
            child_environment(request.configuration, with_options=request.labels.shared_process),
            limits.time_s,
            OBSERVED_GRACE_S if inside else GRACE_S,
        )
        seen_by_observers = Child(
            child.pid,
            self.folder.resolve(),
            self._progress.begin_s,
            len(self._affinity),
            request.workload,
            request.configuration,
        )
        # A shared process keeps the limit that it was started with.
        kept_bytes = child.memory_limit_bytes
        self._monitor = Monitor(
            seen_by_observers,
            memory_limit_bytes if kept_bytes is None else kept_bytes,
            limits.hang_s,
            child.log,
            request.observers,
            self._over_limit,
        )
        self._monitor.start()
        if request.labels.shared_process:
            self._monitor.pause()
        return child

    def _over_limit(self, outcome: Outcome, reason: str) -> None:
        # A child that has failed already may exit in peace.
        if self._verdict is None:
            self._decide(outcome, reason)

    def _decide(self, outcome: Outcome, reason: str) -> None:
        """Set the trial's outcome, unless it is set, and kill the child."""
        if self._verdict is None:
            self._verdict = (outcome, reason)
        if self._child is not None:
            self._child.kill(reason)

    def _send(self, command: Command) -> bool:
        """Send a command; False if the child cannot follow it, or has ended."""
        if self._child is None or self._verdict is not None:
            return False
        if self.request.last_stage is not LAST_STAGE and command is not Command.FINISH:
            return False
        if not self._child.send(command):
            # The child no longer reads: its last events say why, or its death does.
            self._take_until(lambda event: False)
            return False
        return True

    def _take_stage(self, name: StageName) -> bool:
        """Take events until the end of a stage; False if the child has ended instead."""
        return self._take_until(
            lambda event: event.kind is EventKind.STAGE and event.data["name"] == name
        )

    def _take_until(self, is_wanted: Callable[[Event], bool]) -> bool:
        """Take events until the wanted one; False if the child has ended instead."""
        monitor = self._monitor
        if monitor is None:
            return False
        # What a shared process does for other trials is no concern of this one.
        monitor.resume()
        monitor.expect_work(expected=True)
        try:
            return self._await(is_wanted)
        finally:
            monitor.expect_work(expected=False)
            if self.request.labels.shared_process:
                monitor.pause()

    def _await(self, is_wanted: Callable[[Event], bool]) -> bool:
        child = self._child
        while child is not None and (self._verdict is None or child.events.has_event()):
            try:
                event = child.events.next(child.has_ended)
            except TimeIsUpError:
                stage = self._progress.current_stage
                where = "before its first stage" if stage is None else f"in stage '{stage}'"
                limit_s = self.request.limits.time_s
                self._decide(Outcome.TIMEOUT, f"not done after {limit_s:g} s, {where}")
                return False
            if event is None:
                self._explain_death(child)
                return False
            self._take(event)
            if is_wanted(event):
                return True
        return False

    def _take(self, event: Event) -> None:
        data = event.data
        if event.kind is EventKind.FAILED:
            self._verdict = (Outcome(data["outcome"]), data["reason"])
            self.not_written = data.get("not_written", False)
            return
        if event.kind is EventKind.GARBLED:
            if EventKind.ENDED not in self._progress.reports:
                self._decide(Outcome.CRASHED, data["reason"])
            return
        samples: list[TreeSample] = []
        if event.kind is EventKind.STAGE and self._monitor is not None:
            self._monitor.sample_now()
            samples = self._monitor.samples_around(data["begin_s"], data["end_s"])
        self._progress.take(event, samples)
        if event.kind is EventKind.ENTER:
            self.on_stage(data["name"])

    def _explain_death(self, child: TrialChild) -> None:
        # The evidence comes first: once the child is waited for, its counters may be gone.
        monitor = self._monitor
        evidence = MemoryEvidence() if monitor is None else monitor.memory_evidence()
        verdict = child.explain_death(evidence)
        done = {EventKind.CHECKED, EventKind.ENDED} & self._progress.reports.keys()
        if self._verdict is None and not done:
            self._verdict = verdict

    # -- the record -----------------------------------------------------------------------------

    def _end(self) -> Record:
        if self._child is not None:
            for event in self._child.end(patient=self._verdict is None):
                self._take(event)
        timeline = None if self._monitor is None else self._monitor.stop()
        for warning in () if self._monitor is None else self._monitor.warnings():
            self._progress.warn(warning)
        self._progress.warn_of_neighbours()
        outcome, reason = self._verdict or self._reported_outcome()
        record = self._record(outcome, reason, timeline)
        if self._child is not None:
            # A child that was never started leaves nothing to find.
            seen = ObservedRun(tuple(self._progress.stages), record.compilation)
            self.findings = [(each.name, each.results(seen)) for each in self.request.observers]
        record = with_findings(record, self.findings, self.request.store_folder)
        if self._progress.journal is not None:
            self._progress.journal.ended(record)
        return record

    def _record(self, outcome: Outcome, reason: str, timeline: Timeline | None) -> Record:
        """Make the record of a trial that ends like this."""
        result = TrialResult(
            id=self.id,
            request=self.request,
            progress=self._progress,
            allowed_cpus=len(self._affinity),
            inherited=self._inherited,
            timeline=timeline,
            log=None if self._child is None else self._child.log,
            outcome=outcome,
            reason=reason,
        )
        return make_record(result)

    def _reported_outcome(self) -> tuple[Outcome, str]:
        reports = self._progress.reports
        if self.request.last_stage is not LAST_STAGE and EventKind.ENDED in reports:
            return Outcome.OK, ""
        return outcome_of_check(reports.get(EventKind.CHECKED))


def run_trial(trial: TrialProcess, passes: int) -> Record:
    """Run a trial alone: start it, make ``passes`` timed passes, finish it.

    Ctrl-C ends the trial with the outcome ``interrupted``. The record is returned, so that the
    caller can keep it before it passes the interrupt on.
    """
    try:
        trial.start()
        if trial.wait_ready():
            for number in range(passes):
                trial.steady_pass(number)
        return trial.finish()
    except KeyboardInterrupt:
        record = None
        while record is None:
            # Another Ctrl-C asks for what is under way already.
            with contextlib.suppress(KeyboardInterrupt), interrupts_deferred():
                record = trial.abort(Outcome.INTERRUPTED, "interrupted by the user")
        return record

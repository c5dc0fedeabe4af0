"""The parent of a trial: starts the child, has it sampled, enforces limits, leaves a record."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import allowed_cpus
from perfkit.knobs.environment import child_environment
from perfkit.models.base import Workload
from perfkit.observers.load import LoadMeter
from perfkit.observers.observer import Child, Finding, ObservedRun, Observer, Process
from perfkit.observers.process_tree import Timeline, TreeSample, TreeSampler
from perfkit.records.journal import ABANDONED, Journal
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.trial.child import GRACE_S, ChildProcess, TimeIsUpError
from perfkit.trial.conditions.kept import Kept
from perfkit.trial.conditions.surroundings import surroundings
from perfkit.trial.interrupts import interrupts_put_off
from perfkit.trial.limits import Limits
from perfkit.trial.memory_evidence import MemoryEvidence, MemoryWatch
from perfkit.trial.messages import (
    CHECK,
    FINISH,
    GO,
    GUARD_OFF,
    LAST_STAGE,
    PASS,
    STARTING_STAGES,
    TRACE,
    Event,
    TrialSpec,
)
from perfkit.trial.outcome import outcome_of_check, outcome_of_death
from perfkit.trial.record_making import Measured, make_record, with_findings
from perfkit.trial.request import TrialFiles, TrialLabels

OBSERVED_GRACE_S = 300.0
"""How long a child that is observed from inside may take to exit: it writes what was seen."""

PASSES_MOST = 4
"""How often one pass is made at most until nothing disturbs it."""


class TrialProcess:
    """A trial under way: started, passed through as often as wanted, finished.

    The child stays alive between passes, so that several configurations can be measured in
    turns. Whatever happens to it, :meth:`finish` returns a record.

    Parameters
    ----------
    workload, configuration
        What is computed and how.
    store_folder
        Folder of the store; the trial's own folder is made below it.
    limits
        Time and memory.
    labels, files
        For the record, and for the child.
    guard
        What the domain guard does: ``off``, ``lift`` or ``zero``.
    last_stage
        ``compile`` for what the compiler says alone: nothing is run, no pass is possible, and
        memory that only a run would need is no reason to end.
    observers
        Who looks at this child; all of one place.
    further
        Whether this is a further child of another trial: nothing of it is kept, so it keeps no
        journal and drops no pass.
    """

    def __init__(
        self,
        workload: Workload,
        configuration: Configuration,
        store_folder: Path,
        limits: Limits | None = None,
        labels: TrialLabels | None = None,
        files: TrialFiles | None = None,
        guard: str = GUARD_OFF,
        last_stage: str = LAST_STAGE,
        observers: Sequence[Observer] = (),
        *,
        further: bool = False,
    ) -> None:
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.workload = workload
        self.configuration = configuration
        self.folder = store_folder / "trials" / self.id
        self._store_folder = store_folder
        self._limits = limits or Limits()
        self._labels = labels or TrialLabels()
        self._files = files or TrialFiles()
        self._guard = guard
        self._last_stage = last_stage
        self._observers = tuple(observers)
        self._further = further
        self._told: dict[str, dict[str, Any]] = {}
        self._verdict: tuple[Outcome, str] | None = None
        self._round: int | None = None
        self._child: ChildProcess | None = None
        self._sampler: TreeSampler | None = None
        self._memory: MemoryWatch | None = None
        self._kept = Kept()
        self._surroundings = surroundings(configuration)
        self._created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._begin_s = time.monotonic()
        self._affinity = allowed_cpus()
        self._meter = LoadMeter()
        self.findings: list[tuple[str, Finding]] = []
        self.not_written = False
        """Whether the trial failed because a file of its could not be written."""
        self.current_stage = ""
        self.on_stage: Callable[[str], None] = lambda stage: None

    def start(self) -> None:
        """Start the child; a configuration that this machine lacks something for is rejected."""
        self._created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._meter = LoadMeter()
        self._begin_s = time.monotonic()
        self._memory_limit = self._limits.effective_memory_bytes()
        try:
            self._affinity = self.configuration.affinity()
            missing = self.configuration.unavailable()
        except UserError as error:
            missing = str(error)
        if missing is not None:
            self._verdict = (Outcome.REJECTED, missing)
            return
        apart = any(observer.process is not Process.TIMED for observer in self._observers)
        with interrupts_put_off():
            # An interrupt in the middle of it would leave a child that nobody knows of.
            child = self._start_child(apart=apart)
        self._kept.look_around()
        if not self._further:
            left = self._record(Outcome.INTERRUPTED, ABANDONED, None)
            self._kept.journal = Journal(self._store_folder, left)
        if apart:
            child.say(GO)

    def _start_child(self, *, apart: bool) -> ChildProcess:
        """Start the child and have it looked at."""
        self.folder.mkdir(parents=True)
        child = self._child = ChildProcess(
            self._spec(apart),
            self.folder,
            child_environment(self.configuration),
            self._limits.time_s,
            OBSERVED_GRACE_S if apart else GRACE_S,
        )
        self._sampler = TreeSampler(child.pid, self._sampled)
        self._memory = MemoryWatch(child.pid, self._begin_s)
        told = Child(
            child.pid,
            self.folder.resolve(),
            self._begin_s,
            len(self._affinity),
            self.workload,
        )
        for observer in self._observers:
            observer.started(told)
        self._sampler.start()
        return child

    def _spec(self, apart: bool) -> TrialSpec:
        return TrialSpec(
            workload=self.workload.as_dict(),
            overrides=self.configuration.overrides(),
            affinity=self._affinity,
            memory_limit_bytes=self._memory_limit,
            guard=self._guard,
            last_stage=self._last_stage,
            observers=tuple(observer.name for observer in self._observers) if apart else (),
            **{name: _absolute(getattr(self._files, name)) for name in TrialFiles.__annotations__},
        )

    def wait_ready(self) -> bool:
        """Wait until the child has compiled and run once; False when it has ended instead."""
        return self._wait_for("ready")

    @property
    def alive(self) -> bool:
        """Whether another pass may be asked for: the child was started and has not ended."""
        return self._child is not None and self._verdict is None and not self._child.has_ended()

    def steady_pass(self, round_number: int, attempts: int = PASSES_MOST) -> Stage | None:
        """One timed pass, labelled with its round.

        A pass that something else held up is dropped and made again, ``attempts`` times in all;
        see :mod:`perfkit.trial.conditions.disturbance`.

        Returns
        -------
        Stage or None
            None when the child has ended, or when every pass was held up.
        """
        self._round = round_number
        for _ in range(attempts):
            if self._sampler is not None:
                # What ran before the pass must not be taken for a part of it.
                self._sampler.take()
            if not self._say(PASS) or not self._wait_for("stage", name="steady"):
                return None
            stage = self._kept.stages[-1]
            if self._further or not stage.disturbed:
                return stage
            self._kept.drop_last()
        self._kept.warn(f"no pass of round {round_number} is kept: {attempts} were held up")
        return None

    def trace_parts(self) -> bool:
        """One more pass, not timed, that tells the parts' shares; False when the child ended."""
        return self._say(TRACE) and self._wait_for("traced")

    def check(self) -> bool:
        """Have the last answer checked now; whether it is finite and agrees."""
        # The stage's end comes last: left unread, it would be taken for the end of a later one.
        if not self._say(CHECK) or not self._wait_for("stage", name="check"):
            return False
        return outcome_of_check(self._told["checked"])[0] is Outcome.OK

    def finish(self) -> Record:
        """Have the answer checked and written, end the child, and return the record."""
        if self._verdict is None and self._say(FINISH):
            self._wait_for("ended")
        return self._end()

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End the child at once and return the record."""
        if self._verdict is None:
            self._verdict = (outcome, reason)
        self._kill()
        return self._end()

    # -- the child's life ---------------------------------------------------------------------

    def _sampled(self, sample: TreeSample) -> None:
        if sample.rss_bytes > self._memory_limit and self._verdict is None:
            self._verdict = (
                Outcome.OUT_OF_MEMORY,
                f"{sample.rss_bytes / 1e9:.1f} GB resident, the limit is "
                f"{self._memory_limit / 1e9:.1f} GB",
            )
            self._kill()
        if self._memory is not None:
            self._memory.sampled(sample)
        for observer in self._observers:
            observer.sampled(sample)

    def _say(self, word: str) -> bool:
        if self._child is None or self._verdict is not None:
            return False
        if self._last_stage != LAST_STAGE and word != FINISH:
            return False
        if not self._child.say(word):
            self._wait_for("never")
            return False
        return True

    def _wait_for(self, kind: str, **wanted: Any) -> bool:
        """Take events until one of ``kind`` with ``wanted`` data comes; False if it cannot."""
        child = self._child
        while child is not None and (self._verdict is None or child.has_told()):
            try:
                event = child.next_event()
            except TimeIsUpError:
                self._verdict = (
                    Outcome.TIMEOUT,
                    f"not done after {self._limits.time_s:g} s, in stage {self.current_stage!r}",
                )
                self._kill()
                return False
            if event is None:
                self._note_death(child)
                return False
            self._take(event)
            if event.kind == kind and wanted.items() <= event.data.items():
                return True
        return False

    def _take(self, event: Event) -> None:
        data = event.data
        if event.kind == "enter":
            self.current_stage = data["name"]
            self.on_stage(self.current_stage)
            if not (self._labels.shared_start and self.current_stage in STARTING_STAGES):
                self._meter.enter()
        elif event.kind == "stage":
            self._note_stage(data)
        elif event.kind == "failed":
            self._verdict = (Outcome(data["outcome"]), data["reason"])
            self.not_written = data.get("not_written", False)
        else:
            self._told[event.kind] = data

    def _note_stage(self, data: dict[str, Any]) -> None:
        samples: list[TreeSample] = []
        if self._sampler is not None:
            self._sampler.take()
            samples = self._sampler.timeline.around(data["begin_s"], data["end_s"])
        stage = self._kept.note(data, self._begin_s, self._round, samples)
        if not stage.disturbed:
            self._meter.leave(stage)

    def _note_death(self, child: ChildProcess) -> None:
        # Asked for before the child is waited for: its last sample and its counters stand.
        evidence = MemoryEvidence() if self._memory is None else self._memory.evidence()
        returncode = child.wait()
        if self._verdict is None and not {"checked", "ended"} & set(self._told):
            self._verdict = outcome_of_death(returncode, child.log, evidence)

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    # -- the record -----------------------------------------------------------------------------

    def _end(self) -> Record:
        if self._child is not None:
            for event in self._child.end(patient=self._verdict is None):
                self._take(event)
        timeline = self._sampler.stop() if self._sampler is not None else None
        for observer in self._observers:
            observer.ended()
        self._kept.look_around()
        outcome, reason = self._verdict or self._outcome()
        record = self._record(outcome, reason, timeline)
        if self._child is not None:
            # A child that was never started leaves nothing to find.
            seen = ObservedRun(tuple(self._kept.stages), record.compilation)
            self.findings = [(each.name, each.results(seen)) for each in self._observers]
        record = with_findings(record, self.findings, self._store_folder)
        if self._kept.journal is not None:
            self._kept.journal.ended(record)
        return record

    def _record(self, outcome: Outcome, reason: str, timeline: Timeline | None) -> Record:
        """The record that the trial leaves if it has ended like this."""
        return make_record(
            Measured(
                id=self.id,
                created=self._created,
                workload=self.workload,
                configuration=self.configuration,
                labels=self._labels,
                allowed_cpus=len(self._affinity),
                stages=self._kept.stages,
                told=self._told,
                timeline=timeline,
                begin_s=self._begin_s,
                load=self._meter.load(),
                log=None if self._child is None else self._child.log,
                outcome=outcome,
                reason=reason,
                surroundings=self._surroundings,
                dropped=self._kept.dropped,
                warnings=self._kept.warnings,
            ),
            self._store_folder,
        )

    def _outcome(self) -> tuple[Outcome, str]:
        if self._last_stage != LAST_STAGE and "ended" in self._told:
            return Outcome.OK, ""
        return outcome_of_check(self._told.get("checked"))


def run_trial(trial: TrialProcess, passes: int) -> Record:
    """Run a trial alone: start, ``passes`` timed passes, finish.

    Ctrl-C ends it with outcome ``interrupted`` and is passed on by the caller's choice: the
    record is returned.
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
            # Another Ctrl-C says nothing new.
            with contextlib.suppress(KeyboardInterrupt), interrupts_put_off():
                record = trial.abort(Outcome.INTERRUPTED, "interrupted by the user")
        return record


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())

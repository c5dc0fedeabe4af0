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
from perfkit.observers.observer import Child, Finding, Observer, Place, Seen
from perfkit.observers.process_tree import TreeSample, TreeSampler
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.trial.child import GRACE_S, ChildProcess, TimeIsUpError
from perfkit.trial.interrupts import interrupts_put_off
from perfkit.trial.limits import Limits
from perfkit.trial.load import LoadMeter
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
        self._stages: list[Stage] = []
        self._told: dict[str, dict[str, Any]] = {}
        self._verdict: tuple[Outcome, str] | None = None
        self._round: int | None = None
        self._child: ChildProcess | None = None
        self._sampler: TreeSampler | None = None
        self._created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._begin_s = time.monotonic()
        self._affinity = allowed_cpus()
        self._meter = LoadMeter()
        self.findings: list[tuple[str, Finding]] = []
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
        self.folder.mkdir(parents=True)
        apart = any(observer.place is not Place.TIMED for observer in self._observers)
        self._child = ChildProcess(
            self._spec(apart),
            self.folder,
            child_environment(self.configuration),
            self._limits.time_s,
            OBSERVED_GRACE_S if apart else GRACE_S,
        )
        self._sampler = TreeSampler(self._child.pid, self._sampled)
        told = Child(
            self._child.pid,
            self.folder.resolve(),
            self._begin_s,
            len(self._affinity),
            self.workload,
        )
        for observer in self._observers:
            observer.started(told)
        self._sampler.start()
        if apart:
            self._child.say(GO)

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

    def steady_pass(self, round_number: int) -> Stage | None:
        """One timed pass, labelled with its round; None when the child has ended."""
        self._round = round_number
        if not self._say(PASS) or not self._wait_for("stage", name="steady"):
            return None
        return self._stages[-1]

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
        else:
            self._told[event.kind] = data

    def _note_stage(self, data: dict[str, Any]) -> None:
        begin_s, end_s = data["begin_s"], data["end_s"]
        steady = data["name"] == "steady"
        stage = Stage(
            begin_s=begin_s - self._begin_s,
            wall_s=end_s - begin_s,
            round=self._round if steady else None,
            **{key: data[key] for key in _STAGE_FIELDS},
        )
        self._stages.append(stage)
        self._meter.leave(stage)

    def _note_death(self, child: ChildProcess) -> None:
        returncode = child.wait()
        if self._verdict is None and not {"checked", "ended"} & set(self._told):
            self._verdict = outcome_of_death(returncode, child.log)

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
        outcome, reason = self._verdict or self._outcome()
        record = make_record(
            Measured(
                id=self.id,
                created=self._created,
                workload=self.workload,
                configuration=self.configuration,
                labels=self._labels,
                allowed_cpus=len(self._affinity),
                stages=self._stages,
                told=self._told,
                timeline=timeline,
                begin_s=self._begin_s,
                load=self._meter.load(),
                log=None if self._child is None else self._child.log,
                outcome=outcome,
                reason=reason,
            ),
            self._store_folder,
        )
        if self._child is not None:
            # A child that was never started leaves nothing to find.
            seen = Seen(tuple(self._stages), record.compilation)
            self.findings = [(each.name, each.results(seen)) for each in self._observers]
        return with_findings(record, self.findings, self._store_folder)

    def _outcome(self) -> tuple[Outcome, str]:
        if self._last_stage != LAST_STAGE and "ended" in self._told:
            return Outcome.OK, ""
        return outcome_of_check(self._told.get("checked"))


_STAGE_FIELDS = (
    "name",
    "user_s",
    "system_s",
    "minor_faults",
    "major_faults",
    "voluntary_switches",
    "involuntary_switches",
    "peak_rss_bytes",
)


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
        # Another Ctrl-C says nothing new.
        with contextlib.suppress(KeyboardInterrupt), interrupts_put_off():
            record = trial.abort(Outcome.INTERRUPTED, "interrupted by the user")
        return record


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())

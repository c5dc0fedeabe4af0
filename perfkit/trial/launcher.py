"""The parent of a trial: starts the child, samples it, enforces limits, makes the record."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models.base import Workload
from perfkit.observers.process_tree import TreeSample, TreeSampler
from perfkit.observers.xla_parts import scaled
from perfkit.records.machine import fingerprint, versions
from perfkit.records.schema import (
    Compilation,
    ConfigurationRecord,
    Outcome,
    Record,
    Samples,
    Stage,
    WorkloadRecord,
)
from perfkit.trial.environment import child_environment
from perfkit.trial.interrupts import interrupts_put_off
from perfkit.trial.limits import Limits
from perfkit.trial.load import LoadMeter, load_warnings
from perfkit.trial.messages import (
    CHECK,
    FINISH,
    GUARD_OFF,
    LAST_STAGE,
    PASS,
    STARTING_STAGES,
    TRACE,
    Event,
    TrialSpec,
    parse_event,
)
from perfkit.trial.outcome import outcome_of_check, outcome_of_death
from perfkit.trial.request import TrialFiles, TrialLabels

KEPT_SAMPLES = 600
"""Samples of the process tree in a record; a longer run is thinned."""

GRACE_S = 5.0
"""How long a child that was told to finish may take to exit."""


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
    ) -> None:
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.workload = workload
        self.configuration = configuration
        self._store_folder = store_folder
        self._folder = store_folder / "trials" / self.id
        self._limits = limits or Limits()
        self._labels = labels or TrialLabels()
        self._files = files or TrialFiles()
        self._guard = guard
        self._last_stage = last_stage
        self._stages: list[Stage] = []
        self._told: dict[str, dict[str, Any]] = {}
        self._verdict: tuple[Outcome, str] | None = None
        self._round: int | None = None
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._sampler: TreeSampler | None = None
        self._created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._begin_s = time.monotonic()
        self._waited_s = 0.0
        self._affinity = allowed_cpus()
        self._meter = LoadMeter()
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
        self._folder.mkdir(parents=True)
        self._log = self._folder / "log.txt"
        spec = TrialSpec(
            workload=self.workload.as_dict(),
            overrides=self.configuration.overrides(),
            affinity=self._affinity,
            memory_limit_bytes=self._memory_limit,
            guard=self._guard,
            last_stage=self._last_stage,
            **{name: _absolute(getattr(self._files, name)) for name in TrialFiles.__annotations__},
        )
        spec.write(self._folder / "spec.json")
        read_end, write_end = os.pipe()
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "perfkit.trial.worker"]
            self._process = subprocess.Popen(
                [*command, str((self._folder / "spec.json").resolve()), str(write_end)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(self.configuration),
                pass_fds=(write_end,),
                start_new_session=True,
            )
        os.close(write_end)
        threading.Thread(target=self._read_events, args=(read_end,), daemon=True).start()
        self._sampler = TreeSampler(self._process.pid, self._watch_memory)
        self._sampler.start()

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

    def _read_events(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            for line in stream:
                # A child that is killed while it writes leaves half a line, its last.
                if line.endswith("\n"):
                    self._events.put(parse_event(line))
        self._events.put(None)

    def _watch_memory(self, sample: TreeSample) -> None:
        if sample.rss_bytes > self._memory_limit and self._verdict is None:
            self._verdict = (
                Outcome.OUT_OF_MEMORY,
                f"{sample.rss_bytes / 1e9:.1f} GB resident, the limit is "
                f"{self._memory_limit / 1e9:.1f} GB",
            )
            self._kill()

    def _say(self, word: str) -> bool:
        if self._process is None or self._process.stdin is None or self._verdict is not None:
            return False
        if self._last_stage != LAST_STAGE and word != FINISH:
            return False
        try:
            self._process.stdin.write(f"{word}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            self._wait_for("never")
            return False
        return True

    def _wait_for(self, kind: str, **wanted: Any) -> bool:
        """Take events until one of ``kind`` with ``wanted`` data comes; False if it cannot."""
        while self._verdict is None or not self._events.empty():
            begin_s = time.monotonic()
            try:
                event = self._events.get(timeout=self._remaining_s())
                self._waited_s += time.monotonic() - begin_s
            except queue.Empty:
                self._verdict = (
                    Outcome.TIMEOUT,
                    f"not done after {self._limits.time_s:g} s, in stage {self.current_stage!r}",
                )
                self._kill()
                return False
            if event is None:
                self._note_death()
                return False
            self._take(event)
            if event.kind == kind and wanted.items() <= event.data.items():
                return True
        return False

    def _remaining_s(self) -> float | None:
        """What is left of the time limit; a trial that idles between passes does not use it up."""
        if self._limits.time_s is None:
            return None
        return max(0.0, self._limits.time_s - self._waited_s)

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

    def _note_death(self) -> None:
        if self._process is None:
            return
        returncode = self._process.wait()
        if self._verdict is None and not {"checked", "ended"} & set(self._told):
            self._verdict = outcome_of_death(returncode, self._log)

    def _kill(self) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    # -- the record -----------------------------------------------------------------------------

    def _end(self) -> Record:
        if self._process is not None:
            if self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
            try:
                self._process.wait(GRACE_S if self._verdict is None else 0.1)
            except subprocess.TimeoutExpired:
                self._kill()
                self._process.wait()
        while not self._events.empty():
            event = self._events.get()
            if event is not None:
                self._take(event)
        timeline = self._sampler.stop() if self._sampler is not None else None
        outcome, reason = self._verdict or self._outcome()
        checked = self._told.get("checked", {})
        compiled = self._told.get("compiled")
        peaks = [stage.peak_rss_bytes for stage in self._stages]
        if timeline is not None:
            peaks.append(timeline.peak_rss_bytes)
            thinned = timeline.thinned(KEPT_SAMPLES).samples
        load = self._meter.load()
        notices = [*self.workload.notices, *self._told.get("notices", {}).get("notices", [])]
        return Record(
            id=self.id,
            created=self._created,
            study=self._labels.study,
            role=self._labels.role,
            block=self._labels.block,
            shared_start=self._labels.shared_start,
            workload=WorkloadRecord(**self.workload.as_dict()),
            configuration=ConfigurationRecord(
                settings=self.configuration.as_dict(),
                digest=self.configuration.digest,
                label=self.configuration.label,
            ),
            machine=fingerprint(),
            versions=versions(),
            allowed_cpus=len(self._affinity),
            stages=self._stages,
            compilation=Compilation(**compiled) if compiled else None,
            peak_rss_bytes=max(peaks, default=0),
            samples=None
            if timeline is None
            else Samples(
                time_s=[round(sample.time_s - self._begin_s, 3) for sample in thinned],
                cpu_s=[round(sample.cpu_s, 2) for sample in thinned],
                rss_bytes=[sample.rss_bytes for sample in thinned],
            ),
            part_times_s=self._part_times(),
            guard=self._told.get("guarded"),
            finite=checked.get("finite"),
            agreement=checked.get("agreement"),
            artifacts=self._artifacts(checked),
            load=load,
            warnings=load_warnings(load),
            notices=list(dict.fromkeys(notices)),
            outcome=outcome,
            reason=reason,
        )

    def _outcome(self) -> tuple[Outcome, str]:
        if self._last_stage != LAST_STAGE and "ended" in self._told:
            return Outcome.OK, ""
        return outcome_of_check(self._told.get("checked"))

    def _artifacts(self, checked: Mapping[str, Any]) -> dict[str, str]:
        paths = {Path(path).name: path for path in checked.get("files", [])}
        if self._process is not None:
            paths["log"] = str(self._log)
        root = self._store_folder.resolve()
        return {name: os.path.relpath(Path(path).resolve(), root) for name, path in paths.items()}

    def _part_times(self) -> dict[str, float] | None:
        steady = [stage.wall_s for stage in self._stages if stage.name == "steady"]
        if "traced" not in self._told or not steady:
            return None
        return scaled(self._told["traced"]["seconds"], statistics.median(steady))


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

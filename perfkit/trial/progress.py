"""The state of a trial while it runs: stages, dropped passes, warnings, the child's reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from perfkit.observers.load import LoadMeter
from perfkit.observers.process_tree import TreeSample
from perfkit.records.disturbances import DisturbedPass, Load
from perfkit.records.journal import Journal
from perfkit.records.schema import Stage
from perfkit.records.stages import STARTUP_STAGES, StageName
from perfkit.trial.conditions.clock import ClockWatch
from perfkit.trial.conditions.disturbance import Hold, disturbance
from perfkit.trial.conditions.neighbours import neighbours, neighbours_sentence
from perfkit.trial.messages import Event, EventKind

DROPPED = "a pass was held up and dropped: "
"""Begin of the warning of a pass that was repeated."""

_STAGE_FIELDS = (
    "user_s",
    "system_s",
    "minor_faults",
    "major_faults",
    "voluntary_switches",
    "involuntary_switches",
    "peak_rss_bytes",
)


class TrialProgress:
    """The state of a trial from its start; each stage is on disk as soon as it has ended.

    Parameters
    ----------
    shared_start
        Whether another trial starts at the same time. The load of the machine up to the first
        pass is then not counted, as it is mostly the other trial's.
    clock
        Watches the clock of the machine; by default from now on.

    Attributes
    ----------
    created
        Start of the trial, UTC, ISO 8601.
    begin_s
        Start of the trial on the monotonic clock.
    reports
        Data of the child's last event of each kind; stages are not among them.
    stages
        Stages that have ended, in order, without the passes that were dropped.
    dropped
        Passes that something else held up.
    warnings
        Sentences on what makes the trial's times untrustworthy, each once.
    current_stage
        Stage that the child entered last, None before the first.
    round_number
        Round that the next timed passes belong to.
    journal
        Journal that keeps the above if this process is killed; None for a trial that keeps none.
    """

    def __init__(self, *, shared_start: bool = False, clock: ClockWatch | None = None) -> None:
        self.created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.begin_s = time.monotonic()
        self.reports: dict[EventKind, dict[str, Any]] = {}
        self.stages: list[Stage] = []
        self.dropped: list[DisturbedPass] = []
        self.warnings: list[str] = []
        self.current_stage: StageName | None = None
        self.round_number: int | None = None
        self.journal: Journal | None = None
        self._shared_stages = (*STARTUP_STAGES, StageName.FIRST) if shared_start else ()
        self._meter = LoadMeter()
        self._clock = ClockWatch() if clock is None else clock
        self._warned_of_neighbours = False

    def take(self, event: Event, samples: Sequence[TreeSample] = ()) -> None:
        """Take in an event of the child.

        Parameters
        ----------
        event
            Event of any kind.
        samples
            For the end of a stage: samples of the process tree from before it to after it, oldest
            first.
        """
        if event.kind is EventKind.ENTER:
            self.current_stage = StageName(event.data["name"])
            if self.current_stage not in self._shared_stages:
                self._meter.enter()
        elif event.kind is EventKind.STAGE:
            stage = self._add_stage(event.data, samples)
            if not stage.disturbed:
                self._meter.leave(stage)
        else:
            self.reports[event.kind] = event.data

    def drop_last_pass(self) -> None:
        """Remove the last pass from the stages, because something else held it up."""
        stage = self.stages.pop()
        dropped = DisturbedPass(round=stage.round, wall_s=stage.wall_s, reason=stage.disturbed)
        self.dropped.append(dropped)
        if self.journal is not None:
            self.journal.disturbed(dropped)
        self.warn(f"{DROPPED}{stage.disturbed}")

    def warn_of_neighbours(self) -> None:
        """Warn, once, if another perfkit measures on this machine now."""
        sentence = neighbours_sentence(neighbours())
        if sentence is not None and not self._warned_of_neighbours:
            self._warned_of_neighbours = True
            self.warn(sentence)

    def warn(self, sentence: str) -> None:
        """Add a warning, unless it is there already."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def notices(self) -> list[str]:
        """What else a reader of the record should know, in sentences."""
        clock = self._clock.sentence()
        return [] if clock is None else [clock]

    def load(self) -> Load | None:
        """What else the machine did during the stages, None before the first has ended."""
        return self._meter.load()

    def _add_stage(self, data: dict[str, Any], samples: Sequence[TreeSample]) -> Stage:
        name, begin_s, end_s = StageName(data["name"]), data["begin_s"], data["end_s"]
        steady = name is StageName.STEADY
        hold = Hold(data["continued"], data["suspended_s"])
        stage = Stage(
            name=name,
            begin_s=begin_s - self.begin_s,
            wall_s=end_s - begin_s,
            round=self.round_number if steady else None,
            disturbed=disturbance(begin_s, end_s, hold, samples, computes=steady) or "",
            **{key: data[key] for key in _STAGE_FIELDS},
        )
        self.stages.append(stage)
        if self.journal is not None:
            self.journal.stage(stage)
        if stage.disturbed and not steady:
            self.warn(f"the stage {stage.name} was held up: {stage.disturbed}")
        return stage

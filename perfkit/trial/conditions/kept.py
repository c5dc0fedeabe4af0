"""What is kept of a trial while it runs: stages, passes that were dropped, warnings, a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfkit.observers.process_tree import TreeSample
from perfkit.records.journal import Journal
from perfkit.records.schema import DisturbedPass, Stage
from perfkit.trial.conditions.disturbance import Hold, disturbance
from perfkit.trial.conditions.neighbours import neighbours, neighbours_sentence

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


class Kept:
    """The stages of a trial so far, each on disk as soon as it has ended.

    Attributes
    ----------
    stages
        In order; passes that were dropped are not among them.
    dropped
        Those passes.
    warnings
        What makes the trial's times untrustworthy, each sentence once.
    journal
        Where all this is kept against a kill, None for a trial of which nothing is kept.
    """

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.dropped: list[DisturbedPass] = []
        self.warnings: list[str] = []
        self.journal: Journal | None = None
        self._had_neighbours = False

    def note(
        self,
        data: dict[str, Any],
        trial_begin_s: float,
        round_number: int | None,
        samples: Sequence[TreeSample],
    ) -> Stage:
        """Keep a stage that has ended.

        Parameters
        ----------
        data
            What the child says of it.
        trial_begin_s
            Monotonic clock at the trial's start, which the stage's begin is counted from.
        round_number
            Round of a timed pass.
        samples
            Of the process tree, from before the stage to after it.
        """
        begin_s, end_s = data["begin_s"], data["end_s"]
        steady = data["name"] == "steady"
        hold = Hold(data["continued"], data["suspended_s"])
        stage = Stage(
            begin_s=begin_s - trial_begin_s,
            wall_s=end_s - begin_s,
            round=round_number if steady else None,
            disturbed=disturbance(begin_s, end_s, hold, samples, computes=steady) or "",
            **{key: data[key] for key in _STAGE_FIELDS},
        )
        self.stages.append(stage)
        if self.journal is not None:
            self.journal.stage(stage)
        if stage.disturbed and not steady:
            self.warn(f"the stage {stage.name} was held up: {stage.disturbed}")
        return stage

    def drop_last(self) -> None:
        """Take the last pass back: something else held it up."""
        stage = self.stages.pop()
        dropped = DisturbedPass(round=stage.round, wall_s=stage.wall_s, reason=stage.disturbed)
        self.dropped.append(dropped)
        if self.journal is not None:
            self.journal.disturbed(dropped)
        self.warn(f"a pass was held up and dropped: {stage.disturbed}")

    def look_around(self) -> None:
        """Note, once, that another perfkit measures on this machine."""
        sentence = neighbours_sentence(neighbours())
        if sentence is not None and not self._had_neighbours:
            self._had_neighbours = True
            self.warn(sentence)

    def warn(self, sentence: str) -> None:
        """Keep a warning."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

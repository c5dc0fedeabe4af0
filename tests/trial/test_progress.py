"""The state of a trial while it runs, from the events of its child."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.records.stages import StageName
from perfkit.trial.messages import Event, EventKind
from perfkit.trial.progress import TrialProgress


def _enter(progress: TrialProgress, name: StageName) -> None:
    progress.take(Event(EventKind.ENTER, {"name": name.value}))


def _end(progress: TrialProgress, name: StageName, continued: int = 0) -> None:
    """End a stage that began ten seconds after the trial and took two, with 1.5 s of CPU time."""
    data: dict[str, Any] = {
        "name": name.value,
        "begin_s": progress.begin_s + 10.0,
        "end_s": progress.begin_s + 12.0,
        "user_s": 1.0,
        "system_s": 0.5,
        "minor_faults": 3,
        "major_faults": 0,
        "voluntary_switches": 4,
        "involuntary_switches": 5,
        "peak_rss_bytes": 1000,
        "own_peak": True,
        "suspended_s": 0.0,
        "continued": continued,
    }
    progress.take(Event(EventKind.STAGE, data))


def test_a_stage_counts_from_the_start_of_the_trial() -> None:
    progress = TrialProgress()
    progress.round_number = 3
    _enter(progress, StageName.STEADY)
    assert progress.current_stage is StageName.STEADY
    _end(progress, StageName.STEADY)
    (stage,) = progress.stages
    assert stage.begin_s == pytest.approx(10.0)
    assert stage.wall_s == pytest.approx(2.0)
    assert stage.cpu_s == 1.5
    assert stage.round == 3
    assert progress.warnings == []


def test_only_a_timed_pass_belongs_to_a_round() -> None:
    progress = TrialProgress()
    progress.round_number = 3
    _end(progress, StageName.CHECK)
    assert progress.stages[0].round is None


def test_a_pass_that_was_held_up_is_dropped_with_its_reason() -> None:
    progress = TrialProgress()
    progress.round_number = 0
    _end(progress, StageName.STEADY, continued=2)
    progress.drop_last_pass()
    assert progress.stages == []
    (dropped,) = progress.dropped
    reason = "the program was stopped by a signal or a tracer, resumed 2 times"
    assert (dropped.round, dropped.reason) == (0, reason)
    assert progress.warnings == [f"a pass was held up and dropped: {reason}"]


def test_another_stage_that_was_held_up_stays_with_a_warning() -> None:
    progress = TrialProgress()
    _end(progress, StageName.IMPORT, continued=1)
    assert [stage.name for stage in progress.stages] == ["import"]
    assert progress.warnings == [
        "the stage import was held up: the program was stopped by a signal or a tracer"
    ]


def test_the_load_of_a_shared_start_is_not_counted() -> None:
    alone, shared = TrialProgress(), TrialProgress(shared_start=True)
    for progress in (alone, shared):
        _enter(progress, StageName.COMPILE)
        _end(progress, StageName.COMPILE)
    assert alone.load() is not None
    assert shared.load() is None
    _enter(shared, StageName.STEADY)
    _end(shared, StageName.STEADY)
    assert shared.load() is not None


def test_the_last_report_of_each_kind_is_kept() -> None:
    progress = TrialProgress()
    progress.take(Event(EventKind.NOTICES, {"notices": []}))
    progress.take(Event(EventKind.NOTICES, {"notices": ["a bond is ignored"]}))
    assert progress.reports == {EventKind.NOTICES: {"notices": ["a bond is ignored"]}}

"""Studies whose trials are killed, disagree or are disturbed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration
from benchmarks.replayed import ReplayedTrial
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.search.strategy import Change
from tests.support.recorded_studies import (
    OtherReference,
    assert_nothing_is_better,
    best_settings,
    make_study,
)
from tests.support.replay import (
    MODEL,
    WatchedRunner,
    dying,
    roles,
)


def _dying(which: Callable[[Role, Configuration], bool], passes: int, times: int) -> WatchedRunner:
    """A runner whose first ``times`` trials of some configurations die after ``passes`` passes."""
    left = {"times": times}

    def table(
        role: Role, configuration: Configuration, entry: RecordedConfiguration
    ) -> RecordedConfiguration:
        if which(role, configuration) and left["times"] > 0:
            left["times"] -= 1
            return dying(entry, passes)
        return entry

    return WatchedRunner(table)


def _is_stock(role: Role, configuration: Configuration) -> bool:
    return configuration == STOCK and role is not Role.REFERENCE


def _is_reference(role: Role, configuration: Configuration) -> bool:
    return role is Role.REFERENCE


def _has_allocator(role: Role, configuration: Configuration) -> bool:
    return "allocator" in configuration.as_dict()


def test_stock_that_was_killed_once_is_tried_again(tmp_path: Path) -> None:
    study = make_study(tmp_path, _dying(_is_stock, 0, 1))
    study.run()
    assert_nothing_is_better(best_settings(study))


either_reference = pytest.mark.parametrize("model", [MODEL, OtherReference()])
"""A model whose reference is stock, and one whose reference is another configuration."""


@either_reference
def test_a_reference_that_was_killed_once_is_made_again(tmp_path: Path, model: Model) -> None:
    study = make_study(tmp_path, _dying(_is_reference, 0, 1), model=model)
    study.run()
    outcomes = [record.outcome for record in roles(study.records(), "reference")]
    assert outcomes[:2] == [Outcome.CRASHED, Outcome.OK]
    assert Outcome.CRASHED not in outcomes[2:]
    assert_nothing_is_better(best_settings(study))


def test_a_candidate_that_was_killed_once_is_tried_again(tmp_path: Path) -> None:
    study = make_study(tmp_path, _dying(_has_allocator, 1, 1))
    study.run()
    assert_nothing_is_better(best_settings(study))


def test_stock_that_always_crashes_ends_the_study_without_a_recommendation(tmp_path: Path) -> None:
    study = make_study(tmp_path, _dying(_is_stock, 0, 99))
    study.run()
    found = study.recommendation()
    assert found.best is None
    assert "stock ended crashed" in found.sentence
    # Without a base, no candidate is started.
    assert not roles(study.records(), "screen")
    assert study.unfinished[0].startswith("stock failed in its last trials")


@either_reference
@pytest.mark.parametrize("which", [_is_stock, _is_reference])
def test_stock_or_a_reference_that_kept_failing_is_tried_again_by_the_next_call(
    tmp_path: Path, which: Callable[[Role, Configuration], bool], model: Model
) -> None:
    study = make_study(tmp_path, _dying(which, 0, 4), model=model)
    study.run()
    best = study.recommendation().best
    assert best is None or not best.settings
    assert "same command to try again" in study.unfinished[0]
    study = make_study(tmp_path, WatchedRunner(number=1000), model=model)
    study.run()
    assert_nothing_is_better(best_settings(study))


class Disturbed(ReplayedTrial):
    """A trial none of whose passes counts, because other programs disturb them."""

    def keeps_pass(self, wall_s: float) -> bool:
        """Never."""
        return False


class DisturbingRunner(WatchedRunner):
    """Disturbs the passes with another allocator alone."""

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> ReplayedTrial:
        """A trial that has not been started."""
        if _has_allocator(labels.role, configuration):
            return Disturbed(self, workload, configuration, labels, files)
        return super().trial(workload, configuration, labels, files)


def test_a_candidate_whose_passes_are_all_disturbed_is_given_up(tmp_path: Path) -> None:
    # Stock stays the incumbent: oneDNN makes no difference.
    changes: list[Change] = [(("xla_cpu_use_onednn", "true"),), (("allocator", "glibc-keep"),)]
    study = make_study(tmp_path, DisturbingRunner(), extrapolate=False, changes=changes)
    study.run()
    screened = [r for r in roles(study.records(), "screen") if not r.steady]
    digests = [record.configuration.digest for record in screened]
    assert max(digests.count(one) for one in digests) == 2
    assert any("disturbed by other programs" in reason for reason in study.unfinished)


def test_a_candidate_that_always_crashes_is_left_out(tmp_path: Path) -> None:
    study = make_study(tmp_path, _dying(_has_allocator, 1, 99))
    study.run()
    assert_nothing_is_better(best_settings(study), without="allocator")
    # Each configuration with the allocator was tried twice.
    crashed = [r.configuration.digest for r in study.records() if r.outcome is Outcome.CRASHED]
    assert max(crashed.count(digest) for digest in crashed) == 2

"""The function behind ``perfkit tune`` and behind notebooks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.records.roles import Role
from perfkit.records.store import read_records
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.preset import load_preset
from perfkit.tuning.run import tune_workload
from tests.support.replay import WORKLOAD, Behaviour, Listener, ReplayRunner


def _halved_by_exact_bucket(configuration: Configuration) -> Behaviour:
    """30 s per pass; a bucket without padding halves that, and nothing else matters."""
    exact = configuration.as_dict().get("bucket") == "exact"
    return Behaviour(15.0 if exact else 30.0)


def test_a_tuning_returns_and_saves_its_recommendation(tmp_path: Path) -> None:
    result = tune_workload(
        WORKLOAD,
        tmp_path,
        budget_s=100_000.0,
        knobs=["bucket"],
        runner=ReplayRunner(_halved_by_exact_bucket),
    )
    assert not result.interrupted
    assert result.recommendation.best is not None
    assert result.recommendation.best.settings == {"bucket": "exact"}
    assert result.recommendation.best.speedup is not None
    assert result.recommendation.best.speedup.median == pytest.approx(2.0)
    assert result.preset == tmp_path / "preset.toml"
    assert load_preset(result.preset).configuration.as_dict() == {"bucket": "exact"}
    assert [one.id for one in result.records] == [one.id for one in read_records(tmp_path)]
    # 200 diffusion steps per seed in production; a pass of 4 steps takes 30 s or 15 s.
    assert {one.label: one.total.median for one in result.extrapolations} == pytest.approx(
        {"stock": 200 * 30.0 / 4, "bucket=exact": 200 * 15.0 / 4}
    )


def test_throughput_ends_with_instances_of_the_best_in_the_preset(tmp_path: Path) -> None:
    result = tune_workload(
        WORKLOAD,
        tmp_path,
        budget_s=100_000.0,
        knobs=["bucket"],
        extrapolates=False,
        runner=ReplayRunner(_halved_by_exact_bucket),
        goal=make_goal("throughput"),
    )
    assert result.preset is not None
    preset = load_preset(result.preset)
    assert preset.configuration.as_dict() == {"bucket": "exact"}
    # Virtual instances do not slow each other down: one for each CPU is the best.
    cpus = len(os.sched_getaffinity(0))
    side_by_side = {r.instances for r in result.records if r.role is Role.TOGETHER}
    if cpus == 1:
        assert not side_by_side
    else:
        assert {1, cpus} <= side_by_side
        assert preset.instances is not None
        assert preset.instances.count == cpus


def test_under_a_constraint_nothing_else_is_searched(tmp_path: Path) -> None:
    result = tune_workload(
        WORKLOAD,
        tmp_path,
        budget_s=100_000.0,
        knobs=["bucket"],
        extrapolates=False,
        runner=ReplayRunner(_halved_by_exact_bucket),
        goal=make_goal(agreement="float32"),
    )
    tried = {record.configuration.label for record in result.records}
    assert tried == {"stock", "precision=float32", "bucket=exact precision=float32"}
    # The trials reach bfloat16 only.
    assert result.preset is None
    assert result.recommendation.sentence.startswith("Nothing can be recommended: stock is excl")


def test_an_interrupted_tuning_returns_what_it_has_and_resumes(tmp_path: Path) -> None:
    progress = Listener()
    first = tune_workload(
        WORKLOAD,
        tmp_path,
        budget_s=100_000.0,
        knobs=["bucket"],
        progress=progress,
        runner=ReplayRunner(_halved_by_exact_bucket, interrupt_at=25),
    )
    assert first.interrupted
    assert progress.said[-1].startswith("interrupted: all measurements are kept")
    second = tune_workload(
        WORKLOAD,
        tmp_path,
        budget_s=100_000.0,
        knobs=["bucket"],
        runner=ReplayRunner(_halved_by_exact_bucket, number=len(first.records)),
    )
    assert not second.interrupted
    assert second.records[: len(first.records)] == first.records
    assert second.recommendation.best is not None
    assert second.recommendation.best.settings == {"bucket": "exact"}


def test_a_knob_that_cannot_be_searched_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="unknown knob 'buckt'; the nearest is 'bucket'"):
        tune_workload(
            WORKLOAD, tmp_path, knobs=["buckt"], runner=ReplayRunner(_halved_by_exact_bucket)
        )
    assert list(tmp_path.iterdir()) == []

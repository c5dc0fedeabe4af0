"""The function behind ``perfkit tune`` and behind notebooks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.records.roles import Role
from perfkit.records.store import read_records
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.preset import load_preset
from perfkit.tuning.studies.run import tune_workload
from tests.support.replay import RECORDED, SWEEP, Listener, WatchedRunner, recorded


def test_a_tuning_returns_and_saves_its_recommendation(tmp_path: Path) -> None:
    result = tune_workload(
        RECORDED,
        tmp_path,
        budget_s=100_000.0,
        knobs=["precision"],
        runner=WatchedRunner(),
    )
    assert not result.interrupted
    assert result.recommendation.best is not None
    assert result.recommendation.best.settings == {"precision": "bfloat16"}
    assert result.recommendation.best.speedup is not None
    assert result.recommendation.best.speedup.median == pytest.approx(
        1 / recorded({"precision": "bfloat16"}).ratio
    )
    assert result.preset == tmp_path / "preset.toml"
    assert load_preset(result.preset).configuration.as_dict() == {"precision": "bfloat16"}
    assert [one.id for one in result.records] == [one.id for one in read_records(tmp_path)]
    # 30 steps of 39 calls of the denoiser each in production; a recorded pass has 3 calls.
    scale = 30 * 39 / 3
    assert {one.label: one.total.median for one in result.extrapolations} == pytest.approx(
        {
            "stock": scale * SWEEP.stock_s,
            "precision=bfloat16": scale * SWEEP.level_s(recorded({"precision": "bfloat16"})),
        }
    )


def test_throughput_ends_with_instances_of_the_best_in_the_preset(tmp_path: Path) -> None:
    result = tune_workload(
        RECORDED,
        tmp_path,
        budget_s=100_000.0,
        knobs=["precision"],
        extrapolates=False,
        runner=WatchedRunner(),
        goal=make_goal("throughput"),
    )
    assert result.preset is not None
    preset = load_preset(result.preset)
    assert preset.configuration.as_dict() == {"precision": "bfloat16"}
    # Virtual instances do not slow each other down: one for each CPU is the best.
    cpus = len(os.sched_getaffinity(0))
    side_by_side = {r.instances for r in result.records if r.role is Role.TOGETHER}
    if cpus == 1:
        assert not side_by_side
    else:
        assert {1, cpus} <= side_by_side
        assert preset.instances is not None
        assert preset.instances.count == cpus


def test_a_constraint_that_leaves_no_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="float32"):
        tune_workload(
            RECORDED,
            tmp_path,
            budget_s=100_000.0,
            knobs=["precision"],
            extrapolates=False,
            runner=WatchedRunner(),
            goal=make_goal(agreement="float32"),
        )


def test_an_interrupted_tuning_returns_what_it_has_and_resumes(tmp_path: Path) -> None:
    progress = Listener()
    first = tune_workload(
        RECORDED,
        tmp_path,
        budget_s=100_000.0,
        knobs=["precision"],
        progress=progress,
        runner=WatchedRunner(interrupt_at=25),
    )
    assert first.interrupted
    assert progress.said[-1].startswith("interrupted: all measurements are kept")
    second = tune_workload(
        RECORDED,
        tmp_path,
        budget_s=100_000.0,
        knobs=["precision"],
        runner=WatchedRunner(number=len(first.records)),
    )
    assert not second.interrupted
    assert second.records[: len(first.records)] == first.records
    assert second.recommendation.best is not None
    assert second.recommendation.best.settings == {"precision": "bfloat16"}


def test_a_knob_that_cannot_be_searched_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="unknown knob 'precison'; the nearest is 'precision'"):
        tune_workload(RECORDED, tmp_path, knobs=["precison"], runner=WatchedRunner())
    assert list(tmp_path.iterdir()) == []

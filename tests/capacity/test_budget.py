"""The budget of a fit: optional trials that would exceed it are left out, with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.capacity.laws.budget import beyond_budget
from perfkit.capacity.laws.fit_plan import FitPlan, Step
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.records.depths import FULL_DEPTH, SHALLOW_DEPTH
from perfkit.records.roles import Role
from perfkit.records.store import Store
from tests.support.planted import FIDELITY, record

ROUNDS = 3
START_S = 3.0 + 0.5 + 0.48 + 5.0 + 20.0
"""Seconds of the planted trial of 48 tokens before its first pass."""


def workload(size: int, depth: str) -> Workload:
    return Workload("af3", f"{size}", size, {"size": size}, FIDELITY, f"{size}", depth=depth)


@pytest.fixture
def plan(tmp_path: Path) -> FitPlan:
    return FitPlan(
        model=get_model("af3"),
        workloads=(workload(48, FULL_DEPTH),),
        held_out=(),
        compiled=(),
        configuration=STOCK,
        cpu_counts=(1,),
        store=Store(tmp_path),
        rounds=ROUNDS,
        budget_s=1.0,
        reuse_compilation=True,
        further=(workload(96, SHALLOW_DEPTH),),
    )


def pass_s(size: int) -> float:
    parts = record(size).part_times_s
    assert parts is not None
    return sum(parts.values())


def test_what_a_fit_needs_is_always_made(plan: FitPlan) -> None:
    step = Step(workload(96, FULL_DEPTH), STOCK, Role.PARTS)
    assert beyond_budget(plan, step, [record(48)], 2, left_s=-100.0) is None


def test_a_shallow_size_grows_from_the_largest_before_it(plan: FitPlan) -> None:
    """Start, three passes, the first and a traced one, each 2^2.5 times as long as at 48 tokens."""
    known = record(48)
    known = known.model_copy(
        update={"workload": known.workload.model_copy(update={"depth": SHALLOW_DEPTH})}
    )
    step = Step(workload(96, SHALLOW_DEPTH), STOCK, Role.PARTS)
    needed_s = START_S + 5 * pass_s(48) * 2**2.5
    assert beyond_budget(plan, step, [known], 2, needed_s + 0.01) is None
    refusal = beyond_budget(plan, step, [known], 2, needed_s - 0.01)
    assert refusal is not None
    assert refusal.startswith("left out: 96 tokens, which would take about")
    assert beyond_budget(plan, step, [], 2, left_s=0.0) is None


def test_one_cpu_takes_at_most_in_proportion(plan: FitPlan) -> None:
    step = Step(workload(48, FULL_DEPTH), STOCK, Role.CPUS, traced=False)
    needed_s = START_S + 20.0 + 4 * pass_s(48) * 2
    assert beyond_budget(plan, step, [record(48)], 2, needed_s + 0.01) is None
    refusal = beyond_budget(plan, step, [record(48)], 2, needed_s - 0.01)
    assert refusal is not None
    assert "fewer CPUs" in refusal


def test_instances_load_their_program(plan: FitPlan) -> None:
    step = Step(workload(48, FULL_DEPTH), STOCK, Role.TOGETHER, traced=False)
    alone = record(48, role="cpus", cpus=1, slower=1.5)
    needed_s = START_S - 20.0 + 4 * pass_s(48) * 1.5
    found = [record(48), alone]
    assert beyond_budget(plan, step, found, 2, needed_s + 0.01) is None
    assert beyond_budget(plan, step, found, 2, needed_s - 0.01) is not None

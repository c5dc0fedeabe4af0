"""Sweeps on replayed trials: the full grid, interleaved, resumable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.af3.model import AlphaFold3
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.tuning.recommend import recommend
from perfkit.tuning.sweep import Sweep, SweepPlan
from tests.support.replay import WORKLOAD, Behaviour, Listener, ReplayRunner, roles

MODEL = AlphaFold3()
CATALOGUE = Catalogue(MODEL.knobs)
SIZES = (8, 12)
GRID = (
    STOCK,
    CATALOGUE.configuration({"cpus": "1"}),
    CATALOGUE.configuration({"bucket": "exact"}),
    CATALOGUE.configuration({"bucket": "exact", "cpus": "1"}),
)
WORKLOADS = tuple(
    dataclasses.replace(WORKLOAD, name=f"size {size}", size=size, input_digest=str(size))
    for size in SIZES
)
CELLS = {(one.digest, other.digest) for one in WORKLOADS for other in GRID}


def _table(configuration: Configuration) -> Behaviour:
    values = configuration.as_dict()
    seconds = 10.0 * (2.0 if "cpus" in values else 1.0) * (0.25 if "bucket" in values else 1.0)
    return Behaviour(seconds)


AMPLE_BYTES = 10**15

both_memories = pytest.mark.parametrize(
    "memory_bytes", [AMPLE_BYTES, 0], ids=["side by side", "one by one"]
)
"""Memory for two trials side by side, or for one."""


def _sweep(folder: Path, runner: ReplayRunner, memory_bytes: int = AMPLE_BYTES) -> Sweep:
    plan = SweepPlan(MODEL, CATALOGUE, WORKLOADS, GRID, Store(folder), rounds=2)
    return Sweep(plan, runner, Listener(), lambda: memory_bytes)


def _measured(sweep: Sweep) -> set[tuple[str, str]]:
    return {
        (r.workload.digest, r.configuration.digest)
        for r in sweep.records()
        if r.role != "reference" and r.outcome is Outcome.OK and len(r.steady) >= 2
    }


@both_memories
def test_every_cell_of_the_grid_is_measured(tmp_path: Path, memory_bytes: int) -> None:
    sweep = _sweep(tmp_path, ReplayRunner(_table), memory_bytes)
    sweep.run()
    assert _measured(sweep) == CELLS
    assert len(sweep.records()) == len(CELLS) + len(SIZES)
    assert len(roles(sweep.records(), "reference")) == len(SIZES)


def test_a_damaged_reference_is_made_again_for_further_cells(tmp_path: Path) -> None:
    first = SweepPlan(MODEL, CATALOGUE, WORKLOADS[:1], GRID[:1], Store(tmp_path), rounds=2)
    Sweep(first, ReplayRunner(_table), Listener()).run()
    (reference,) = tmp_path.glob("reference-*")
    reference.write_bytes(reference.read_bytes()[:-1])
    again = ReplayRunner(_table)
    _sweep(tmp_path, again).run()
    assert [role for role, _ in again.opened].count("reference") == len(SIZES)
    assert holds_answers(reference)


@both_memories
def test_cells_can_be_compared_where_they_ran_interleaved(
    tmp_path: Path, memory_bytes: int
) -> None:
    sweep = _sweep(tmp_path, ReplayRunner(_table), memory_bytes)
    sweep.run()
    small = [r for r in sweep.records() if r.workload.digest == WORKLOADS[0].digest]
    own = [r for r in small if r.role != "reference"]
    speedups = {row.label: row.speedup and row.speedup.median for row in recommend(own).rows}
    known = {"cpus=1": 0.5, "bucket=exact": 4.0, "bucket=exact cpus=1": 2.0}
    assert speedups == {"stock": 1.0, **(known if memory_bytes else dict.fromkeys(known))}


@both_memories
def test_a_sweep_resumes_wherever_it_was_interrupted(tmp_path: Path, memory_bytes: int) -> None:
    whole = ReplayRunner(_table)
    _sweep(tmp_path / "whole", whole, memory_bytes).run()
    for at in range(1, whole.calls + 1, 3):
        runner = ReplayRunner(_table, interrupt_at=at)
        sweep = _sweep(tmp_path / str(at), runner, memory_bytes)
        with pytest.raises(KeyboardInterrupt):
            sweep.run()
        known = _measured(sweep)
        resumed = ReplayRunner(_table, number=runner.number)
        sweep = _sweep(tmp_path / str(at), resumed, memory_bytes)
        sweep.run()
        assert _measured(sweep) == CELLS, at
        again = {c.digest for role, c in resumed.opened if role == "sweep"}
        complete = {
            one.digest for one in GRID if all((w.digest, one.digest) in known for w in WORKLOADS)
        }
        assert not again & complete, at


@both_memories
def test_a_finished_sweep_costs_nothing_to_repeat(tmp_path: Path, memory_bytes: int) -> None:
    _sweep(tmp_path, ReplayRunner(_table), memory_bytes).run()
    again = ReplayRunner(_table)
    _sweep(tmp_path, again, memory_bytes).run()
    assert again.opened == []


@both_memories
def test_the_first_cell_is_measured_where_all_others_crash(
    tmp_path: Path, memory_bytes: int
) -> None:
    def table(configuration: Configuration) -> Behaviour:
        return _table(configuration) if configuration == STOCK else Behaviour(1.0, dies_after=0)

    sweep = _sweep(tmp_path, ReplayRunner(table), memory_bytes)
    sweep.run()
    assert _measured(sweep) == {(one.digest, STOCK.digest) for one in WORKLOADS}


@both_memories
def test_other_cells_are_measured_if_one_crashes(tmp_path: Path, memory_bytes: int) -> None:
    def table(configuration: Configuration) -> Behaviour:
        return Behaviour(1.0, dies_after=0) if configuration == STOCK else _table(configuration)

    sweep = _sweep(tmp_path, ReplayRunner(table), memory_bytes)
    sweep.run()
    assert _measured(sweep) == {cell for cell in CELLS if cell[1] != STOCK.digest}
    crashed = [r for r in sweep.records() if r.outcome is Outcome.CRASHED]
    assert {r.configuration.label for r in crashed} == {"stock"}

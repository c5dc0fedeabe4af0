"""Sweeps on replayed trials: the full grid, interleaved, resumable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.jaxlib import jaxlib_knob
from perfkit.records.interpreter import Interpreter
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.studies.sweep import Sweep, SweepPlan
from tests.support.replay import (
    MODEL,
    RECORDED,
    Listener,
    RunnerOfVersions,
    WatchedRunner,
    dying,
    recorded,
    roles,
)

CATALOGUE = Catalogue(MODEL.knobs)
SIZES = (8, 12)
GRID = (
    STOCK,
    CATALOGUE.configuration({"cpus": "1"}),
    CATALOGUE.configuration({"precision": "bfloat16"}),
    CATALOGUE.configuration({"cpus": "1", "precision": "bfloat16"}),
)
WORKLOADS = tuple(
    dataclasses.replace(RECORDED, name=f"size {size}", size=size, input_digest=str(size))
    for size in SIZES
)
CELLS = {(one.digest, other.digest) for one in WORKLOADS for other in GRID}


AMPLE_BYTES = 10**15

both_memories = pytest.mark.parametrize(
    "memory_bytes", [AMPLE_BYTES, 0], ids=["side by side", "one by one"]
)
"""Memory for two trials side by side, or for one."""


def _sweep(folder: Path, runner: WatchedRunner, memory_bytes: int = AMPLE_BYTES) -> Sweep:
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
    sweep = _sweep(tmp_path, WatchedRunner(), memory_bytes)
    sweep.run()
    assert _measured(sweep) == CELLS
    assert len(sweep.records()) == len(CELLS) + len(SIZES)
    assert len(roles(sweep.records(), "reference")) == len(SIZES)


def test_a_damaged_reference_is_made_again_for_further_cells(tmp_path: Path) -> None:
    first = SweepPlan(MODEL, CATALOGUE, WORKLOADS[:1], GRID[:1], Store(tmp_path), rounds=2)
    Sweep(first, WatchedRunner(), Listener()).run()
    (reference,) = tmp_path.glob("reference-*")
    reference.write_bytes(reference.read_bytes()[:-1])
    again = WatchedRunner()
    _sweep(tmp_path, again).run()
    assert [role for role, _ in again.opened].count("reference") == len(SIZES)
    assert holds_answers(reference)


@both_memories
def test_cells_can_be_compared_where_they_ran_interleaved(
    tmp_path: Path, memory_bytes: int
) -> None:
    sweep = _sweep(tmp_path, WatchedRunner(), memory_bytes)
    sweep.run()
    small = [r for r in sweep.records() if r.workload.digest == WORKLOADS[0].digest]
    own = [r for r in small if r.role != "reference"]
    speedups = {row.label: row.speedup and row.speedup.median for row in recommend(own).rows}
    known = {one.label: pytest.approx(1 / recorded(one.as_dict()).ratio) for one in GRID[1:]}
    assert speedups == {"stock": 1.0, **(known if memory_bytes else dict.fromkeys(known))}


def test_versions_of_jaxlib_are_passed_in_the_same_turns(tmp_path: Path) -> None:
    catalogue = Catalogue((*MODEL.knobs, jaxlib_knob(["7.1"], running="8.0")))
    other, precision = {"jaxlib": "7.1"}, {"precision": "bfloat16"}
    cells = (STOCK, *map(catalogue.configuration, (other, precision, precision | other)))
    interpreter = Interpreter(Path("python"), "3.12", (("jaxlib", "7.1"),), ())
    plan = SweepPlan(
        MODEL,
        catalogue,
        WORKLOADS[:1],
        cells,
        Store(tmp_path),
        rounds=2,
        interpreters={"7.1": interpreter},
        reference_jaxlib="7.1",
    )
    runner = RunnerOfVersions()
    sweep = Sweep(plan, runner, Listener(), lambda: AMPLE_BYTES)
    sweep.run()
    medians = Evidence.of_records(sweep.records()).round_medians()
    for first, second in ((cells[0], cells[1]), (cells[2], cells[3])):
        assert medians[first.digest, second.digest][1] == 2
    # The reference is computed by the version that is right.
    references = [configuration for role, configuration in runner.opened if role == "reference"]
    assert [one.jaxlib for one in references] == ["7.1"]
    assert plan.study != dataclasses.replace(plan, reference_jaxlib=None).study


@both_memories
def test_a_sweep_resumes_wherever_it_was_interrupted(tmp_path: Path, memory_bytes: int) -> None:
    whole = WatchedRunner()
    _sweep(tmp_path / "whole", whole, memory_bytes).run()
    for at in range(1, whole.calls + 1, 3):
        runner = WatchedRunner(interrupt_at=at)
        sweep = _sweep(tmp_path / str(at), runner, memory_bytes)
        with pytest.raises(KeyboardInterrupt):
            sweep.run()
        known = _measured(sweep)
        resumed = WatchedRunner(number=runner.number)
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
    _sweep(tmp_path, WatchedRunner(), memory_bytes).run()
    again = WatchedRunner()
    _sweep(tmp_path, again, memory_bytes).run()
    assert again.opened == []


@both_memories
def test_the_first_cell_is_measured_where_all_others_crash(
    tmp_path: Path, memory_bytes: int
) -> None:
    def table(
        role: Role, configuration: Configuration, entry: RecordedConfiguration
    ) -> RecordedConfiguration:
        return entry if configuration == STOCK else dying(entry, 0)

    sweep = _sweep(tmp_path, WatchedRunner(table), memory_bytes)
    sweep.run()
    assert _measured(sweep) == {(one.digest, STOCK.digest) for one in WORKLOADS}


@both_memories
def test_other_cells_are_measured_if_one_crashes(tmp_path: Path, memory_bytes: int) -> None:
    def table(
        role: Role, configuration: Configuration, entry: RecordedConfiguration
    ) -> RecordedConfiguration:
        return dying(entry, 0) if configuration == STOCK else entry

    sweep = _sweep(tmp_path, WatchedRunner(table), memory_bytes)
    sweep.run()
    assert _measured(sweep) == {cell for cell in CELLS if cell[1] != STOCK.digest}
    crashed = [r for r in sweep.records() if r.outcome is Outcome.CRASHED]
    assert {r.configuration.label for r in crashed} == {"stock"}

"""The capacity table: what fits where, from which source, and how far it is extrapolated."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import calibrate
from perfkit.capacity.laws.fit import Compiled, ModelFit
from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.table.compiling import with_compiled_sizes
from perfkit.capacity.table.files import write_csv, write_json
from perfkit.capacity.table.table import Cell, MemorySource, make_table, sizes_of
from perfkit.errors import UserError
from perfkit.models.workload import Workload
from perfkit.records.schema import Outcome, Record
from perfkit.report.capacity_page import capacity_page
from perfkit.report.capacity_tables import largest_table, machine_tables, markdown
from tests.support.planted import FIDELITY, record, step_s, study, trunk_s

NODE = Machine("no|de", 1, 4, 9 * 10**9, speed=1.0)
"""Room for two instances of 512 tokens, which need 4.12 GB each, and not for four."""

SMALL = Machine("small", 1, 4, 4 * 10**9, speed=1.0)

COMPILED_512 = 100_000_000 + 8000 * 512**2
"""Planted bytes of the program of 512 tokens."""


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    alone = record(48, role="cpus", cpus=1, slower=1.8)
    known = Compiled(features={"n": 512.0, "s": 5.0}, compiled_bytes=COMPILED_512)
    made = assemble([*study(), alone])
    return made.model_copy(update={"compiled_exactly": (known, *made.compiled_exactly)})


def cells(fit: ModelFit, machine: Machine, sizes: Sequence[str]) -> dict[str, Cell]:
    return {cell.size: cell for cell in make_table(fit, sizes, [machine]).cells}


def test_memory_names_its_source(fit: ModelFit) -> None:
    found = cells(fit, NODE, ("64", "512", "1024"))
    assert [cell.source for cell in found.values()] == [
        MemorySource.MEASURED,
        MemorySource.COMPILER,
        MemorySource.LAW,
    ]
    memory = found["512"].memory
    assert memory is not None
    assert memory.value == pytest.approx(COMPILED_512 + 900e6 + 2e6 * 512, rel=1e-6)


def test_a_size_needs_room_in_memory(fit: ModelFit) -> None:
    assert cells(fit, NODE, ("512",))["512"].feasible
    small = cells(fit, SMALL, ("512",))["512"]
    assert not small.feasible
    assert small.reason == "needs up to 4.3 GB of memory, small has 4.0 GB"
    assert small.time is not None


def test_two_instances_beat_one_and_four_do_not_fit(fit: ModelFit) -> None:
    """Passes are 11 % serial, so that instances of half the cores get more done."""
    best = cells(fit, NODE, ("512",))["512"].best
    assert best is not None
    assert (best.instances, best.cpus) == (2, 2)
    assert best.per_hour == pytest.approx(2 * 3600 / best.time.value)


def test_time_is_that_of_production_on_all_cores(fit: ModelFit) -> None:
    """11 trunk passes, 200 steps and one confidence pass at 64 tokens, on two CPUs."""
    (cell,) = make_table(fit, ["64"], [Machine("two", 1, 2, 9 * 10**9, speed=2.0)]).cells
    passes_s = 11 * trunk_s(64) + 200 * step_s(64, 5) + 0.1 + 3e-5 * 5 * 64**2 + 0.05 + 1e-5 * 64**2
    start_s = 3.0 + 0.5 + 0.64 + 5.0 + 20.0 + 0.4 + 0.1
    assert cell.time is not None
    assert cell.time.value == pytest.approx((passes_s + start_s) / 2, rel=1e-6)
    assert cell.cpus_factor == 1.0


def test_extrapolation_is_marked_for_sizes_and_for_cpus(fit: ModelFit) -> None:
    found = cells(fit, NODE, ("64", "512"))
    assert found["64"].size_factor == pytest.approx(64 / 96)
    assert found["512"].size_factor == pytest.approx(512 / 96)
    assert found["64"].cpus_factor == 2.0
    (table,) = machine_tables(make_table(fit, ["64", "512"], [NODE]))
    assert [row[1].rpartition("]")[2] for row in table.rows] == [" †", " *†"]


def test_a_machine_with_a_calibration_gets_its_own_speed(fit: ModelFit) -> None:
    slow = calibrate([record(48, slower=3.0)], {}, None)
    here = Machine("two", 1, 2, 9 * 10**9, speed=1.0)
    there = Machine("two", 1, 2, 9 * 10**9, calibration=slow)
    (fast_cell,) = make_table(fit, ["96"], [here]).cells
    (slow_cell,) = make_table(fit, ["96"], [there]).cells
    assert fast_cell.time is not None
    assert slow_cell.time is not None
    once = 3.0 + 0.5 + 0.96 + 5.0 + 20.0 + 0.1
    expected = 3 * (fast_cell.time.value - once) + once
    assert slow_cell.time.value == pytest.approx(expected, rel=1e-6)
    assert slow_cell.memory == fast_cell.memory


def test_the_files_hold_the_same_cells(fit: ModelFit, tmp_path: Path) -> None:
    table = make_table(fit, ["64", "512"], [NODE, SMALL], ["a notice"])
    write_csv(tmp_path / "t.csv", table)
    write_json(tmp_path / "t.json", table)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    found = json.loads((tmp_path / "t.json").read_text())
    assert [(row["machine"], row["size"], row["feasible"]) for row in rows] == [
        ("no|de", "64", "True"),
        ("no|de", "512", "True"),
        ("small", "64", "True"),
        ("small", "512", "False"),
    ]
    assert [float(row["memory_bytes"]) for row in rows] == [
        cell["memory_bytes"] for cell in found["cells"]
    ]
    assert rows[3]["instances"] == ""
    assert "a notice" in found["notices"]
    text = markdown(table)
    assert "## no\\|de (4 cores, 9.0 GB for predictions)" in text
    assert text.count("| 512 |") == 2


def test_the_page_answers_with_the_largest_possible_size_of_each_machine(fit: ModelFit) -> None:
    tiny = Machine("tiny", 1, 4, 10**9, speed=1.0)
    table = largest_table(make_table(fit, ["64", "512"], [NODE, SMALL, tiny]))
    assert [row[:2] for row in table.rows] == [("no|de", "512"), ("small", "64"), ("tiny", "none")]
    assert [row[4] for row in table.rows] == ["compiler", "measured law", "-"]
    assert {len(row) for row in table.rows} == {len(table.headers)} == {7}


def test_a_name_with_markup_is_text_on_the_page(fit: ModelFit) -> None:
    named = Machine("<script>alert(1)</script>", 1, 2, 9 * 10**9, speed=1.0)
    page = capacity_page(make_table(fit, ["64", "512"], [named]))
    assert "<script>alert(1)</script>" not in page
    assert "Time against size" in page


def workload(size: int) -> Workload:
    return Workload("af3", f"{size}", size, {"size": size}, FIDELITY, f"{size}")


class Compiler:
    """Compiles on a clock of its own; every program takes 40 s."""

    def __init__(self, failing: int | None = None) -> None:
        self.now_s = 0.0
        self.limits: list[float] = []
        self._failing = failing

    def __call__(self, workload: Workload, left_s: float) -> Record:
        self.limits.append(left_s)
        self.now_s += 40.0
        made = record(workload.size, role="compiled").model_copy(update={"stages": []})
        if workload.size == self._failing:
            update = {"outcome": Outcome.OUT_OF_MEMORY, "reason": "9 GB"}
            return made.model_copy(update=update)
        return made


def compiled(compiler: Compiler, fit: ModelFit, limit_s: float) -> tuple[list[float], str]:
    """Sizes beyond the measured ones that are known after compiling, and the notices."""
    found = with_compiled_sizes(
        fit,
        [workload(size) for size in (256, 384, 768)],
        lambda one: {"n": float(one.size), "s": 5.0},
        compiler,
        limit_s,
        lambda: compiler.now_s,
    )
    sizes = sorted(each.features["n"] for each in found.fit.compiled_exactly)
    return [size for size in sizes if size > 96 and size != 512], "; ".join(found.notices)


def test_compiling_ends_with_its_time(fit: ModelFit) -> None:
    """After two programs 20 s are left, and the next would take 40 s or more."""
    compiler = Compiler()
    sizes, notices = compiled(compiler, fit, 100.0)
    assert sizes == [256.0, 384.0]
    assert compiler.limits == [100.0, 60.0]
    assert notices.startswith("not compiled here: 768 tokens, the limit of 1 min 40 s")


def test_the_law_beyond_is_fitted_to_the_compiled_programs_too(fit: ModelFit) -> None:
    twice = fit.model_copy(update={"compiled": fit.compiled.scaled(2.0)})
    found = with_compiled_sizes(
        twice,
        [workload(256)],
        lambda one: {"n": float(one.size), "s": 5.0},
        Compiler(),
        100.0,
        lambda: 0.0,
    )
    expected = 100_000_000 + 8000 * 2048**2
    assert found.fit.compiled.value({"n": 2048.0, "s": 5.0}) == pytest.approx(expected, rel=1e-6)


def test_a_program_that_cannot_be_compiled_ends_it_too(fit: ModelFit) -> None:
    sizes, notices = compiled(Compiler(failing=384), fit, 1000.0)
    assert sizes == [256.0]
    assert notices == "not compiled here: 384, 768 tokens, out of memory (9 GB)"


def test_sizes_are_the_models_own_or_named() -> None:
    assert sizes_of("gencast", None) == ["1", "0.25"]
    assert sizes_of("af3", None)[::11] == ["64", "5120"]
    assert sizes_of("af3", " 64, 128,64") == ["64", "128"]
    with pytest.raises(UserError, match="--sizes names no size"):
        sizes_of("af3", " , ")

"""Plans of planted laws, machines and queues whose result is worked out by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.queue.estimate import instance_counts, time_factors
from perfkit.capacity.queue.jobs import production, sized_jobs
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import make_plan
from perfkit.capacity.queue.plan_files import write_csv, write_json
from perfkit.capacity.queue.sizing import needs
from perfkit.models.costs import Job
from tests.support.planted import SETTINGS, compiled_bytes, overhead_bytes, step_s, study, trunk_s

PERFECT = CpuLaw(serial=0.0, crosstalk=0.0, measured=(1, 2))
START_S = 3.0 + 5.0 + 0.1
"""Import, trace and check of the planted records."""


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    return assemble(study())


@pytest.fixture(scope="module")
def parallel(fit: ModelFit) -> ModelFit:
    """The same fit with perfect scaling over CPUs and without contention."""
    laws = {"running_cpus": PERFECT, "starting_cpus": PERFECT, "contention": 0.0}
    return fit.model_copy(update=laws)


def machine(**changes: Any) -> Machine:
    return dataclasses.replace(Machine("m", 1, 2, 100 * 10**9), **changes)


def inventory(*machines: Machine) -> Inventory:
    return Inventory(machines or (machine(),), "EUR")


def fold(name: str, tokens: int, **fidelity: int) -> Job:
    options = {"size": str(tokens)}
    return Job(name, "af3", tokens, production("af3", **fidelity), options, "test")


def production_s(n: int) -> float:
    """One seed by the planted laws: 11 trunk passes, 200 steps, confidence, rest, start, compile,
    preparing, and the 0.4 s that a first pass takes longer."""
    passes = 11 * trunk_s(n) + 200 * step_s(n, 5) + 0.1 + 15e-5 * n**2 + 0.05 + 1e-5 * n**2 + 0.4
    return passes + START_S + 20.0 + 0.5 + 0.01 * n


def test_a_production_run_is_the_sum_of_its_parts(fit: ModelFit) -> None:
    plan = make_plan([fold("a", 80)], inventory(), [fit])
    assert plan.makespan_s == pytest.approx(production_s(80), rel=1e-6)
    assert plan.jobs[0].option.time.low <= plan.makespan_s <= plan.jobs[0].option.time.high


def test_price_and_energy_are_of_machine_hours(parallel: ModelFit) -> None:
    """One job on each of two machines: twice the hours, at 3.6 per hour and 500 W."""
    two = inventory(machine(count=2, price_per_hour=3.6, watts=500.0))
    plan = make_plan([fold("a", 80), fold("b", 80)], two, [parallel])
    (use,) = plan.uses()
    seconds = 2 * production_s(80)
    assert plan.price == pytest.approx(3.6 * seconds / 3600, rel=1e-6)
    assert use.energy_kwh == pytest.approx(0.5 * seconds / 3600, rel=1e-6)
    assert (use.used, use.jobs) == (2, 2)
    assert use.busy == pytest.approx(1.0)


def test_instances_share_the_memory(parallel: ModelFit) -> None:
    """Memory for 1.5 jobs holds one job at a time, memory for 2.2 jobs holds two."""
    needed = compiled_bytes(80) + overhead_bytes(80)
    jobs = [fold(name, 80) for name in "abcd"]
    for room, shares in ((1.5, {1}), (2.2, {2})):
        slow_start = parallel.model_copy(
            update={"running_cpus": CpuLaw(serial=0.5, crosstalk=0.0, measured=(1, 2))}
        )
        plan = make_plan(jobs, inventory(machine(memory_bytes=int(room * needed))), [slow_start])
        assert {each.option.instances for each in plan.jobs} == shares


def test_the_rejection_of_a_large_job_names_a_machine_that_would_do(fit: ModelFit) -> None:
    """80 tokens need 1.21 GB by the planted laws, and processes differ by some per cent."""
    small = inventory(machine(memory_bytes=10**9))
    plan = make_plan([fold("big", 80)], small, [fit])
    (reject,) = plan.rejects
    assert "job 'big' fits on no machine: needs up to 1.3 GB of memory, m has 1.0 GB" in (
        reject.reason
    )
    assert "the smallest machine that would do has 8 GB of memory" in reject.reason


def test_the_rejection_of_a_long_job_names_the_cores_that_would_do(parallel: ModelFit) -> None:
    """With perfect scaling a third of the time on 2 CPUs needs 6; of 1, 2, 4, 8 that is 8."""
    limited = inventory(machine(time_limit_s=production_s(80) / 3))
    (reject,) = make_plan([fold("long", 80)], limited, [parallel]).rejects
    assert "the time limit of m is" in reject.reason
    assert "8 cores of this kind" in reject.reason


def test_a_job_without_a_fit_is_refused(fit: ModelFit) -> None:
    (reject,) = make_plan(sized_jobs("gencast", "10"), inventory(), [fit]).rejects
    assert "there is no fit of gencast: measure one with 'perfkit plan fit --model" in reject.reason


def test_cpus_without_a_law_are_refused(fit: ModelFit) -> None:
    (reject,) = make_plan([fold("a", 80)], inventory(machine(cores=3)), [fit]).rejects
    assert "an instance would have 3 CPUs, the fit measured 2 and no law of CPUs" in reject.reason


def test_the_faster_preset_is_chosen_where_its_memory_fits(fit: ModelFit) -> None:
    """A second preset that is twice as fast and needs ten times the memory."""
    laws = {
        name: law.model_copy(update={"coefficients": tuple(c / 2 for c in law.coefficients)})
        for name, law in fit.laws.items()
    }
    coefficients = (2e10,) + (0.0,) * (len(fit.overhead.terms) - 1)
    heavy = fit.overhead.model_copy(update={"coefficients": coefficients})
    quick = fit.model_copy(update={"laws": laws, "overhead": heavy, "label": "quick"})
    for room, chosen in ((100 * 10**9, 1), (5 * 10**9, 0)):
        plan = make_plan([fold("a", 80)], inventory(machine(memory_bytes=room)), [fit, quick])
        assert plan.jobs[0].option.fit == chosen


def test_a_stated_speed_divides_the_time_and_is_reported(fit: ModelFit) -> None:
    plan = make_plan([fold("a", 80)], inventory(machine(speed=2.0)), [fit])
    assert plan.makespan_s == pytest.approx(production_s(80) / 2, rel=1e-6)
    assert any("was stated, not measured" in notice for notice in plan.notices)


def test_other_instances_slow_an_instance_down(fit: ModelFit) -> None:
    """Contention 0.4 and half the machine in use by the other instance: 20 % slower, on half the
    CPUs."""
    crowded = fit.model_copy(
        update={"running_cpus": PERFECT, "starting_cpus": PERFECT, "contention": 0.4}
    )
    assert time_factors(crowded, machine(), 2).running == pytest.approx(2 * 1.2)
    assert time_factors(crowded, machine(), 1).running == pytest.approx(1.0)


def test_instance_counts_divide_each_other() -> None:
    assert instance_counts(machine(cores=12)) == (1, 2, 4, 12)
    assert instance_counts(machine(cores=1)) == (1,)


def test_a_cache_lets_neighbouring_sizes_share_a_program(fit: ModelFit) -> None:
    """Compiling takes 20 s, padding by one token far less. Without a cache each job compiles."""
    cached = fit.model_copy(update={"cached_compile_s": 0.5})
    jobs = [fold("a", 39), fold("b", 40)]
    plan = make_plan(jobs, inventory(), [cached])
    assert {each.bucket for each in plan.jobs} == {40}
    assert sorted(each.compiles for each in plan.jobs) == [False, True]
    alone = make_plan(jobs, inventory(), [cached], cached=False)
    assert {each.bucket for each in alone.jobs} == {None}
    assert all(each.compiles for each in alone.jobs)


def test_programs_that_depend_on_the_atoms_of_an_input_are_not_shared(fit: ModelFit) -> None:
    """Two proteins of equal length may differ in atoms, so both compile and neither is padded."""
    settings = fit.settings | {"atom_slots": "needed"}
    cached = fit.model_copy(update={"cached_compile_s": 0.5, "settings": settings})
    plan = make_plan([fold("a", 40), fold("b", 40), fold("c", 39)], inventory(), [cached])
    assert {each.bucket for each in plan.jobs} == {None}
    assert all(each.compiles for each in plan.jobs)


def test_a_deadline_determines_the_number_of_machines(parallel: ModelFit) -> None:
    """Six jobs of T each: a deadline of 2 T needs three machines, a deadline of T needs six."""
    jobs = [fold(f"j{number}", 80) for number in range(6)]
    one_s = production_s(80)
    for deadline_s, machines in ((2.01 * one_s, 3), (1.01 * one_s, 6)):
        (need,) = needs(
            jobs, [machine()], [parallel], cached=False, deadline_s=deadline_s, budget=None
        )
        assert need.machines == machines
    (late,) = needs(
        jobs, [machine()], [parallel], cached=False, deadline_s=0.9 * one_s, budget=None
    )
    assert late.machines is None
    assert late.reason == "the longest job alone takes longer"


def test_a_budget_determines_the_number_of_machines(parallel: ModelFit) -> None:
    """Machine-hours are the same on one machine or six, so the budget that pays for one pays for
    the soonest; a little less pays for none."""
    jobs = [fold(f"j{number}", 80) for number in range(6)]
    price = 6 * production_s(80) / 3600
    priced = machine(price_per_hour=1.0)
    (need,) = needs(jobs, [priced], [parallel], cached=False, deadline_s=None, budget=1.001 * price)
    assert need.machines == 6
    (poor,) = needs(jobs, [priced], [parallel], cached=False, deadline_s=None, budget=0.9 * price)
    assert poor.machines is None
    (unpriced,) = needs(jobs, [machine()], [parallel], cached=False, deadline_s=None, budget=1.0)
    assert unpriced.reason == "it has no price_per_hour"


def test_accelerators_have_a_break_even_price(fit: ModelFit) -> None:
    """1024 tokens take 62 s on an A100: the plan's price over 62/3600 hours. Twice the seeds take
    twice as long; 1448 tokens, halfway on a logarithmic scale, the geometric mean of 62 and 275."""
    rich = inventory(machine(price_per_hour=3.6))
    plan = make_plan([fold("a", 1024)], rich, [fit])
    a100 = next(one for one in plan.comparisons() if one.device == "A100 80 GB")
    assert a100.hours == pytest.approx(62 / 3600)
    assert plan.price is not None
    assert a100.break_even == pytest.approx(plan.price / (62 / 3600), rel=1e-6)
    half = make_plan([fold("b", 1448, seeds=2)], rich, [fit]).comparisons()[0]
    assert half.hours == pytest.approx(2 * (62 * 275) ** 0.5 / 3600, rel=1e-3)


def test_csv_and_json_hold_every_job(fit: ModelFit, tmp_path: Path) -> None:
    plan = make_plan([fold("a", 80), fold("b", 40, seeds=2)], inventory(), [fit])
    write_csv(tmp_path / "plan.csv", plan)
    write_json(tmp_path / "plan.json", plan)
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "plan.csv").open())}
    assert rows["b"]["seeds"] == "2"
    assert float(rows["a"]["time_s"]) == pytest.approx(production_s(80), abs=0.1)
    assert rows["a"]["members"] == ""
    data = json.loads((tmp_path / "plan.json").read_text())
    assert {job["name"] for job in data["jobs"]} == {"a", "b"}
    assert data["makespan_s"] == plan.makespan_s


def test_the_settings_of_the_fit_are_the_preset(fit: ModelFit) -> None:
    assert fit.settings == SETTINGS

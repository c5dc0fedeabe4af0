"""Genetic searches before predictions: columns, schedule, totals and files, worked out by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.queue.exact import improve
from perfkit.capacity.queue.jobs import production, read_jobs
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.pack import Kind, Packing, Share, Task, pack
from perfkit.capacity.queue.plan import Plan, make_plan
from perfkit.capacity.queue.plan_files import write_csv, write_json, write_skipped
from perfkit.capacity.queue.sizing import needs
from perfkit.models.costs import Job, Search
from perfkit.report.figures.capacity.gantt import SEARCHES, gantt_figure, gantt_info
from perfkit.report.plan_tables import machine_table, search_table
from tests.support.planted import study

NODE = Machine("node", 1, 2, 16 * 10**9, price_per_hour=2.0)
HOUR = Search(3600.0, 1, 2 * 10**9)


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    """A fit with perfect scaling over CPUs and without contention."""
    perfect = CpuLaw(serial=0.0, crosstalk=0.0, measured=(1, 2))
    laws = {"running_cpus": perfect, "starting_cpus": perfect, "contention": 0.0}
    return assemble(study()).model_copy(update=laws)


@pytest.fixture(scope="module")
def plan(fit: ModelFit) -> Plan:
    return make_plan([_fold("a", HOUR), _fold("b", HOUR)], Inventory((NODE,), "EUR"), [fit])


def _fold(name: str, search: Search | None) -> Job:
    return Job(name, "af3", 80, production("af3"), {"size": "80"}, "test", search=search)


def _csv(folder: Path, text: str) -> Path:
    path = folder / "jobs.csv"
    path.write_text(text)
    return path


def test_a_row_states_its_search(tmp_path: Path) -> None:
    text = "name,tokens,msa_hours,msa_cpus,msa_memory\na,40,1.5,4,16GB\nb,40,2,,\nc,40,,,\n"
    jobs, rejects = read_jobs(_csv(tmp_path, text))
    assert rejects == []
    assert [job.search for job in jobs] == [
        Search(5400.0, 4, 16 * 10**9),
        Search(7200.0, 8, None),
        None,
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,40,,4,", "msa_cpus goes with msa_hours, which is empty"),
        ("a,40,,,1GB", "msa_memory goes with msa_hours"),
        ("a,40,0,,", "msa_hours is '0'"),
        ("a,40,nan,,", "msa_hours is 'nan'"),
        ("a,40,1,0,", "msa_cpus is '0'"),
        ("a,40,1,1,much", "msa_memory is 'much'"),
    ],
)
def test_an_impossible_search_is_rejected(tmp_path: Path, row: str, message: str) -> None:
    path = _csv(tmp_path, f"name,tokens,msa_hours,msa_cpus,msa_memory\n{row}\n")
    jobs, (reject,) = read_jobs(path)
    assert jobs == []
    assert message in reject.sentence


def _after(packing: Packing, tasks: list[Task]) -> bool:
    placed = {each.task: each for each in packing.placements}
    return all(
        task.after is None or placed[number].begin_s >= placed[task.after].end_s
        for number, task in enumerate(tasks)
    )


def test_a_task_begins_after_the_one_that_it_waits_for() -> None:
    """Two halves of a machine. Task 0 (4 s) waits for task 2 (3 s), task 1 (1 s) for nothing:
    3 + 4 s is a lower bound, and is reached."""
    tasks = [
        Task(((Share(2, 4.0),),), after=2),
        Task(((Share(2, 1.0),),)),
        Task(((Share(2, 3.0),),)),
    ]
    packing = pack(tasks, [Kind(1, (1, 2))])
    assert (packing.makespan_s, packing.bound_s) == (7.0, 7.0)
    assert _after(packing, tasks)


def test_the_exact_packing_keeps_the_order() -> None:
    """Two chains on one whole machine and its halves: searches of 2 s on halves, side by side,
    then predictions of 3 s on the whole machine: 2 + 3 + 3 s."""
    tasks = [
        Task(((Share(1, 3.0),),), after=2),
        Task(((Share(1, 3.0),),), after=3),
        Task(((Share(2, 2.0),),)),
        Task(((Share(2, 2.0),),)),
    ]
    kinds = [Kind(1, (1, 2))]
    start = pack(tasks, kinds)
    found = improve(tasks, kinds, start)
    assert start.makespan_s == pytest.approx(8.0)
    assert found.makespan_s == pytest.approx(8.0)
    assert _after(start, tasks)
    assert _after(found, tasks)


def test_searches_run_before_their_predictions_and_count_as_machine_hours(plan: Plan) -> None:
    """Two searches of an hour on one CPU each fill the machine for an hour; two predictions of T
    then fill it for 2 T, whatever their shares."""
    alone_s = plan.jobs[0].option.time.value / plan.jobs[0].option.instances
    assert plan.makespan_s == pytest.approx(3600 + 2 * alone_s, rel=1e-3)
    for each in plan.jobs:
        assert each.search is not None
        assert each.search.cpus == 1
        assert each.placement.begin_s >= each.search.placement.end_s
    (use,) = plan.uses()
    assert (use.jobs, use.searches) == (2, 2)
    assert use.hours == pytest.approx(plan.makespan_s / 3600)
    assert plan.price == pytest.approx(2.0 * plan.makespan_s / 3600)
    assert any("takes the hours that the row states" in notice for notice in plan.notices)


def test_the_interval_of_a_plan_does_not_widen_the_stated_hours(plan: Plan) -> None:
    times = [each.option.time for each in plan.jobs]
    total = sum(time.value for time in times) + 7200
    low, high = plan.relative_range
    assert low == pytest.approx((sum(time.low for time in times) + 7200) / total)
    assert high == pytest.approx((sum(time.high for time in times) + 7200) / total)


def test_a_search_that_fits_nowhere_rejects_its_job(fit: ModelFit) -> None:
    jobs = [_fold("wide", Search(60.0, 4, None)), _fold("large", Search(60.0, 1, 20 * 10**9))]
    made = make_plan([*jobs, _fold("plain", None)], Inventory((NODE,), "EUR"), [fit])
    assert [each.job.name for each in made.jobs] == ["plain"]
    assert [reject.name for reject in made.rejects] == ["wide", "large"]
    assert "its search of 1 min on 4 CPUs fits on no machine" in made.rejects[0].reason
    assert "1 CPU and 20.0 GB fits on no machine" in made.rejects[1].reason


def test_machines_for_a_deadline_run_the_searches_too(fit: ModelFit) -> None:
    """One search on one machine takes its hour: a deadline of half an hour is impossible."""
    (need,) = needs([_fold("a", HOUR)], [NODE], [fit], cached=False, deadline_s=1800.0, budget=None)
    assert need.machines is None


def test_files_tables_and_figure_show_the_searches(plan: Plan, tmp_path: Path) -> None:
    write_csv(tmp_path / "plan.csv", plan)
    write_json(tmp_path / "plan.json", plan)
    rows = list(csv.DictReader((tmp_path / "plan.csv").open()))
    assert {(row["msa_machine"], row["msa_cpus"], row["msa_end_s"]) for row in rows} == {
        ("node", "1", "3600.0")
    }
    assert json.loads((tmp_path / "plan.json").read_text())["machines"][0]["searches"] == 2
    found = search_table(plan, plan.jobs).rows
    assert {row[0] for row in found} == {"a", "b"}
    assert {row[1:4] for row in found} == {("node 1", "1 of 1", "at once")}
    assert all(row[4].startswith("1 h [") for row in found)
    table = machine_table(plan)
    assert table.rows[0][table.headers.index("searches")] == "2"
    info = gantt_info(plan)
    bars = [bar for bar in info.bars if bar.text.startswith("genetic search of ")]
    assert [(bar.begin_h, bar.end_h, bar.height) for bar in bars] == [(0.0, 1.0, 0.5)] * 2
    assert [trace.name for trace in gantt_figure(info).data][-1] == SEARCHES


def test_skipped_jobs_are_in_a_file_of_their_own(fit: ModelFit, tmp_path: Path) -> None:
    jobs = [_fold("a", None), _fold("wide, 4", Search(60.0, 4, None))]
    write_skipped(tmp_path / "skipped.csv", make_plan(jobs, Inventory((NODE,), "EUR"), [fit]))
    (row,) = csv.DictReader((tmp_path / "skipped.csv").open())
    assert (row["name"], row["origin"]) == ("wide, 4", "test")
    assert "fits on no machine" in row["reason"]

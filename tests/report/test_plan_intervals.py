"""Tables and figures of a plan show every expected value with its interval."""

from __future__ import annotations

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.prediction import Range, relative_range
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import Plan, make_plan
from perfkit.capacity.queue.sizing import Need
from perfkit.models.costs import Job
from perfkit.report import plan_tables
from perfkit.report.figures.capacity.feasibility import feasibility_info, hours_figure
from perfkit.report.figures.capacity.gantt import gantt_info
from tests.support.planted import study

NODE = Machine("node", 1, 2, 16 * 10**9, speed=1.0, price_per_hour=3.6)


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    """Laws with equal relative errors of about 30 %."""
    fit = assemble(study())
    count = len(fit.laws)
    return fit.model_copy(update={"covariance": ((0.09,) * count,) * count})


@pytest.fixture(scope="module")
def plan(fit: ModelFit) -> Plan:
    jobs = [Job(name, "af3", 40, production("af3"), {}, "test") for name in ("a", "b")]
    return make_plan(jobs, Inventory((NODE,), "EUR"), [fit])


def test_a_sum_is_as_uncertain_as_its_parts() -> None:
    times = [Range(value=10.0, low=5.0, high=20.0), Range(value=30.0, low=21.0, high=60.0)]
    assert relative_range(times) == (26 / 40, 80 / 40)
    assert relative_range([]) == (1.0, 1.0)


def test_the_machines_for_a_deadline_are_shown_with_intervals() -> None:
    need = Need(NODE, 2, makespan_s=7200.0, price=10.0, low=0.5, high=2.0)
    (row,) = plan_tables.needs_table([need], "EUR").rows
    assert row == ("node", "2", "2 h [1 h, 4 h]", "10.00 EUR [5.00, 20.00]", "")


def test_every_time_of_a_plan_has_an_interval(plan: Plan) -> None:
    """Two jobs run one after the other: the second begins when the first ends."""
    _, _, time, memory, _, _ = plan_tables.job_table(plan, plan.jobs).rows[0]
    first, second = plan_tables.schedule_table(plan, plan.jobs).rows
    assert first[3] == "at once"
    assert second[3] == first[4]
    for text in (time, memory, first[4], second[3], second[4], plan_tables.plan_sentence(plan)):
        assert " [" in text
    (machine,) = plan_tables.machine_table(plan).rows
    assert " [" in machine[3]
    assert " [" in machine[5]


def test_the_hover_label_of_a_job_shows_the_interval(plan: Plan) -> None:
    time = plan.jobs[0].option.time
    assert gantt_info(plan).bars[0].text == f"a: {plan_tables.time_text(time)} on 2 CPUs"


def test_times_of_all_sizes_are_shown_with_intervals(fit: ModelFit) -> None:
    figure = hours_figure(feasibility_info(fit, NODE))
    (line,) = figure.data
    assert line.name == "2 CPUs"
    assert line.hovertext[0].startswith("64, 2 CPUs: ")
    assert all(" [" in text for text in line.hovertext)


def test_a_fit_without_predictions_leaves_an_empty_figure(fit: ModelFit) -> None:
    count = len(fit.laws)
    wide = fit.model_copy(update={"covariance": ((1e4,) * count,) * count})
    info = feasibility_info(wide, NODE)
    assert info.sizes == ()
    assert len(hours_figure(info).data) == 0

"""What a plan requests for its jobs: quantiles at stated risks, corrected by finished jobs."""

from __future__ import annotations

import dataclasses
import math

import pytest

from perfkit.capacity.correction.correction import Correction, FinishedJob
from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.queue.arrays import Array, arrays
from perfkit.capacity.queue.estimate import Risks
from perfkit.capacity.queue.expected import Expectation
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import Plan, make_plan
from perfkit.models.costs import Job
from tests.support.planted import study

NODE = Machine("node", 1, 2, 16 * 10**9)

T5_95, T5_99 = 2.015048, 3.364930
T6_95, T6_99 = 1.943180, 3.142668
"""Quantiles of Student's t from a table: degrees of freedom, and percentage."""


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    """Nine trials: five degrees of freedom of the time, whose largest law has four terms, and
    six of the memory that the compiler does not count, whose law has three. Both are uncertain."""
    planted = assemble(study())
    count = len(planted.laws)
    overhead = planted.overhead.model_copy(update={"residuals": (0.1, -0.1, 0.05) * 3})
    return planted.model_copy(
        update={"covariance": ((0.01,) * count,) * count, "overhead": overhead}
    )


def _plan(
    fit: ModelFit, *names: str, machine: Machine = NODE, expectation: Expectation | None = None
) -> Plan:
    jobs = [Job(name, "af3", 80, production("af3"), {"size": "80"}, "test") for name in names]
    return make_plan(jobs, Inventory((machine,), "EUR"), [fit], expectation=expectation)


def _array(plan: Plan) -> Array:
    (array,) = arrays(plan)
    return array


def test_one_job_in_a_hundred_exceeds_its_request(fit: ModelFit) -> None:
    """In logarithms, the request is as far beyond the high end of the 90 % interval as the 99 %
    quantile of Student's t is beyond the 95 % quantile."""
    (job,) = _plan(fit, "a").jobs
    for request, found, ratio in (
        (job.option.request.time_s, job.option.time, T5_99 / T5_95),
        (job.option.request.memory_bytes, job.option.memory, T6_99 / T6_95),
    ):
        beyond = math.log(request / found.value) / math.log(found.high / found.value)
        assert beyond == pytest.approx(ratio, rel=1e-5)


def test_a_higher_risk_requests_less(fit: ModelFit) -> None:
    bold = Expectation(Risks(memory=0.05, time=0.05))
    (job,) = _plan(fit, "a", expectation=bold).jobs
    assert job.option.request.time_s == pytest.approx(job.option.time.high, rel=1e-9)
    assert job.option.request.memory_bytes == pytest.approx(job.option.memory.high, rel=1e-9)


def test_an_array_requests_what_its_largest_job_does(fit: ModelFit) -> None:
    plan = _plan(fit, "a", "b")
    array = _array(plan)
    assert array.mebibytes == math.ceil(plan.jobs[0].option.request.memory_bytes / 2**20)
    longest_s = max(each.option.request.time_s for each in plan.jobs)
    assert array.minutes == math.ceil(longest_s / 60)


def test_a_stated_speed_doubles_the_time_limit(fit: ModelFit) -> None:
    plan = _plan(fit, "a", machine=dataclasses.replace(NODE, speed=1.0))
    assert _array(plan).minutes == math.ceil(2 * plan.jobs[0].option.request.time_s / 60)


def test_a_machine_that_holds_the_interval_but_not_the_request_is_refused(fit: ModelFit) -> None:
    (job,) = _plan(fit, "a").jobs
    between = (job.option.memory.high + job.option.request.memory_bytes) / 2
    small = _plan(fit, "a", machine=dataclasses.replace(NODE, memory_bytes=int(between)))
    assert small.jobs == ()
    assert "fits on no machine: needs up to" in small.rejects[0].reason


def test_arrays_of_different_plans_have_different_names(fit: ModelFit) -> None:
    first, again, other = _plan(fit, "a"), _plan(fit, "a"), _plan(fit, "b")
    assert _array(first).name == _array(again).name
    assert _array(first).name != _array(other).name
    assert _array(first).name.startswith("perfkit-node-1-")


def test_finished_jobs_correct_the_next_plan(fit: ModelFit) -> None:
    """Nineteen jobs took twice the time: scores of ln 2 over the half-width. Their memory was as
    predicted. 19 equal scores make an interval without width, and the 99 % quantile is beyond
    their ranks."""
    (before,) = _plan(fit, "a").jobs
    half = math.log(before.option.time.high / before.option.time.value)
    finished = [
        FinishedJob(
            job=f"{number}",
            model="af3",
            preset=fit.label,
            machine="node",
            time=math.log(2) / half,
            memory=0.0,
        )
        for number in range(19)
    ]
    learned = Expectation(correction=Correction(jobs=tuple(finished)))
    plan = _plan(fit, "a", expectation=learned)
    (after,) = plan.jobs
    assert after.option.time.value == pytest.approx(2 * before.option.time.value)
    assert after.option.time.high == pytest.approx(2 * before.option.time.value)
    assert after.option.request.time_s >= 2 * before.option.time.value
    assert after.option.memory.value == pytest.approx(before.option.memory.value)
    assert after.option.fitted_time == before.option.time
    assert any("corrected by 19 finished jobs" in notice for notice in plan.notices)
    other = _plan(fit, "a", machine=dataclasses.replace(NODE, name="x"), expectation=learned)
    assert other.jobs[0].option.time == before.option.time

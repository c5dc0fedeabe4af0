"""A plan against what happened: matching, intervals, risks and deadlines worked out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.check.actual import AccountedJob, Actual, Fate, actual_of
from perfkit.capacity.check.check import Check, check_jobs
from perfkit.capacity.check.matching import joined, match_accounts, match_records
from perfkit.capacity.check.planned import PlanFile, PlannedRow
from perfkit.capacity.check.schedule import late
from perfkit.capacity.correction.correction import Correction
from perfkit.capacity.correction.predictive import predictive
from perfkit.errors import UserError
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from tests.support.plans import GB, planned_row
from tests.support.records_factory import make_record, make_stage

HALF = math.log(2)
"""Logarithm of the high end over the prediction: intervals from half to twice the prediction."""

T9_95, T9_99 = 1.833113, 2.821438
"""Quantiles of Student's t with nine degrees of freedom, from a table."""


def _plan(*rows: dict[str, Any], **changes: Any) -> PlanFile:
    return PlanFile.model_validate({"version": 2, "digest": "d", "jobs": rows, **changes})


def _finished(time_s: float, memory_bytes: int = 4 * GB) -> Actual:
    return Actual(Fate.FINISHED, time_s, memory_bytes, "test")


def _risks(check: Check, name: str) -> tuple[float | None, float | None, float | None]:
    (job,) = (job for job in check.jobs if job.planned.name == name)
    return job.memory_risk, job.time_risk, job.deadline_risk


def test_measurements_outside_their_intervals_are_found() -> None:
    plan = _plan(planned_row("a"), planned_row("b"), planned_row("c"), planned_row("d"))
    actual = {
        "a": _finished(150),
        "b": _finished(210, 9 * GB),
        "c": Actual(Fate.FAILED, 20, GB, "test"),
    }
    check = check_jobs(plan, actual)
    assert [job.time_inside for job in check.jobs] == [True, False, None, None]
    assert [job.memory_inside for job in check.jobs] == [True, False, None, None]
    assert check.jobs[1].time_ratio == pytest.approx(2.1)
    (group,) = check.groups
    assert (group.times, group.times_inside) == (2, 1)
    assert group.time_ratio == pytest.approx(1.8)
    assert (check.count(Fate.FINISHED), check.count(Fate.QUEUED)) == (2, 1)


def test_a_queued_job_has_the_risk_of_its_requests() -> None:
    """A request at the 99 % quantile of the fit's distribution is exceeded with 1 %."""
    most = 4 * GB * math.exp(HALF * T9_99 / T9_95)
    longest_s = 100 * math.exp(HALF * T9_99 / T9_95)
    plan = _plan(planned_row("a", array_memory_bytes=most, array_time_s=longest_s))
    memory, time, deadline = _risks(check_jobs(plan, {}), "a")
    assert memory == pytest.approx(0.01, rel=1e-3)
    assert time == pytest.approx(0.01, rel=1e-3)
    assert deadline is None


def test_a_running_job_is_judged_by_the_time_that_is_left() -> None:
    """It has run for 100 s, the median: half of such jobs are longer, so that its risk doubles."""
    plan = _plan(planned_row("a", array_time_s=200))
    _, queued, _ = _risks(check_jobs(plan, {}), "a")
    running = {"a": Actual(Fate.RUNNING, 100, None, "test")}
    _, on, _ = _risks(check_jobs(plan, running), "a")
    assert queued == pytest.approx(0.05, rel=1e-3)
    assert on == pytest.approx(0.1, rel=1e-3)


def test_finished_jobs_correct_the_risks_of_the_others() -> None:
    """Three finished jobs took twice what was predicted: a score of 1 each, so the median of the
    next is 200 s, which is its limit."""
    rows = [planned_row(name) for name in "abc"]
    plan = _plan(*rows, planned_row("next", array_time_s=200))
    check = check_jobs(plan, {name: _finished(200) for name in "abc"})
    _, time, _ = _risks(check, "next")
    assert time == pytest.approx(0.5)
    (group,) = check.groups
    assert group.time is not None
    assert group.time.value == pytest.approx(2.0)
    assert check.learned == 3


def test_a_job_that_ran_out_of_memory_teaches_its_limit() -> None:
    """The limit is 10 GB, and sacct saw 3 GB: the score is that of 10 GB, and one more."""
    plan = _plan(planned_row("a"))
    actual = Actual(Fate.OUT_OF_MEMORY, 50, 3 * GB, "test", is_as_requested=True)
    (learned,) = check_jobs(plan, {"a": actual}).correction.jobs
    assert learned.memory == pytest.approx(math.log(2.5) / HALF)
    assert learned.memory_is_limit
    assert learned.time is None
    (above,) = Correction(jobs=(learned,)).memory_scores("af3", "stock")
    assert above == pytest.approx(math.log(2.5) / HALF + 1)


def test_a_job_over_its_time_limit_teaches_its_elapsed_time() -> None:
    actual = {"a": Actual(Fate.TIME_LIMIT, 400, GB, "test")}
    (learned,) = check_jobs(_plan(planned_row("a")), actual).correction.jobs
    assert learned.time == pytest.approx(2.0)
    assert learned.time_is_limit
    assert learned.memory is None


def test_scores_are_relative_to_the_fit_and_not_to_an_earlier_correction() -> None:
    """The plan was corrected to 200 s; the fit said 100 s [50, 200]."""
    own = {
        name: planned_row("a")[name]
        for name in planned_row("a")
        if name.startswith(("time", "memory"))
    }
    row = planned_row("a", time_s=200, time_low_s=150, time_high_s=260, fitted=own)
    check = check_jobs(_plan(row), {"a": _finished(200)})
    assert check.jobs[0].time_ratio == pytest.approx(1.0)
    assert check.correction.jobs[0].time == pytest.approx(1.0)


def test_the_second_job_of_a_machine_is_late_if_both_are_long() -> None:
    """Two jobs in turn of median 100 s: 200 s in half of all cases, because they share their
    error; 400 s is the high end of both."""
    plan = _plan(planned_row("a"), planned_row("b", 100.0))
    for deadline_s, first, second in ((200.0, 0.05, 0.5), (400.0, 0.0, 0.05)):
        check = check_jobs(plan, {}, deadline_s=deadline_s)
        risks = [job.deadline_risk for job in check.jobs]
        assert risks[0] == pytest.approx(first, abs=0.012)
        assert risks[1] == pytest.approx(second, abs=0.003)


def test_what_has_ended_moves_the_rest() -> None:
    """The first job took 40 s instead of 100 s, so 140 s is the median of the second."""
    plan = _plan(planned_row("a"), planned_row("b", 100.0), deadline_s=140.0)
    check = check_jobs(plan, {"a": Actual(Fate.FAILED, 40, None, "test")})
    assert check.jobs[0].deadline_risk is None
    assert check.jobs[1].deadline_risk == pytest.approx(0.5, abs=0.003)


def test_jobs_wait_for_wider_shares_and_for_their_searches() -> None:
    """Halves 0 and 1 of a machine run 100 s side by side, then a job on all of it, whose search
    ends after 150 s: it ends after 250 s in half of all cases."""
    halves = [planned_row(f"h{slot}", instances=2, slot=slot) for slot in (0, 1)]
    whole = planned_row("whole", 150.0, msa_end_s=150.0)
    jobs = [PlannedRow.model_validate(row) for row in (*halves, whole)]
    times = {job.name: predictive(job.time, 9) for job in jobs}
    found = late(jobs, {}, times, 250.0)
    assert found["whole"] == pytest.approx(0.5, abs=0.003)
    assert found["h0"] == found["h1"] == pytest.approx(0.016, abs=0.01)


def test_tasks_of_the_arrays_and_names_of_jobs_are_matched() -> None:
    rows = [
        planned_row("a", task=1),
        planned_row("b", task=2),
        planned_row("c d", task=3),
        planned_row("e", task=4),
    ]
    jobs = [PlannedRow.model_validate(row) for row in rows]
    accounts = [
        AccountedJob("perfkit-node-1-abc", 1, _finished(1)),
        AccountedJob("perfkit-node-1-abc", 1, Actual(Fate.CANCELLED, 9, None, "again")),
        AccountedJob("b", None, _finished(2)),
        AccountedJob("c_d", None, _finished(3)),
        AccountedJob("perfkit-node-1-other", 4, _finished(4)),
    ]
    found = match_accounts(jobs, accounts)
    assert {name: actual.time_s for name, actual in found.items()} == {"a": 1, "b": 2, "c d": 3}
    assert (found["a"].is_as_requested, found["b"].is_as_requested) == (True, False)


def _record(name: str, outcome: str = "ok", **changes: Any) -> Record:
    walls = [("import", 1.0), ("prepare", 2.0), ("trace", 3.0), ("compile", 4.0), ("first", 50.0)]
    walls += [("steady", 40.0), ("check", 5.0)]
    stages = [make_stage(stage, 0.0, wall_s, peak_rss_bytes=GB) for stage, wall_s in walls]
    record = make_record({}, identifier=name, role="single", stages=stages, allowed_cpus=2)
    workload = record.workload.model_copy(update={"size": 40, "fidelity": {"recycles": 0}})
    known = {"workload": workload, "peak_rss_bytes": 2 * GB, "outcome": Outcome(outcome)}
    return record.model_copy(update={**known, **changes})


def test_the_time_of_a_record_leaves_further_passes_out() -> None:
    """1 + 2 + 3 + 4 s of start, 50 s of the first pass, 5 s of the check."""
    actual = actual_of(_record("r"))
    assert (actual.fate, actual.time_s, actual.memory_bytes) == (Fate.FINISHED, 65.0, 2 * GB)
    assert actual_of(_record("r", "timeout")).fate is Fate.TIME_LIMIT


def test_records_are_found_in_folders_of_results_or_by_what_they_predict(tmp_path: Path) -> None:
    jobs = [PlannedRow.model_validate(planned_row(name)) for name in ("a", "b", "c", "d")]
    Store(tmp_path / "results" / "a").append(_record("in results"))
    Store(tmp_path / "b").append(_record("in its folder"))
    for record in (_record("alike"), _record("other", allowed_cpus=1)):
        Store(tmp_path).append(record)
    found = match_records(jobs, tmp_path)
    assert {name: actual.source for name, actual in found.items()} == {
        "a": "record in results",
        "b": "record in its folder",
        "c": "record alike",
    }


def _command(identifier: str, name: str, wall_s: float, created: str) -> Record:
    stages = [make_stage("steady", 0.0, wall_s, peak_rss_bytes=3 * GB)]
    record = make_record({}, identifier=identifier, role="foreign", stages=stages, created=created)
    workload = record.workload.model_copy(update={"name": name, "size": 40, "fidelity": {}})
    return record.model_copy(update={"workload": workload})


def test_a_command_of_the_user_is_the_job_of_its_only_input(tmp_path: Path) -> None:
    jobs = [PlannedRow.model_validate(planned_row(name)) for name in ("My protein", "b")]
    Store(tmp_path).append(_command("first", "My protein", 90.0, "2026-01-02T10:00:00+00:00"))
    Store(tmp_path).append(_command("again", "My protein", 70.0, "2026-01-02T11:00:00+00:00"))
    Store(tmp_path).append(_command("queue", "2 inputs", 160.0, "2026-01-02T12:00:00+00:00"))
    found = match_records(jobs, tmp_path)
    # The whole command is its only pass.
    expected = Actual(Fate.FINISHED, 70.0, 3 * GB, "record again")
    assert found == {"My protein": expected}


def test_a_record_is_better_than_an_account_where_the_job_finished() -> None:
    accounts = {"a": _finished(70), "b": Actual(Fate.OUT_OF_MEMORY, 5, None, "account")}
    records = {"a": _finished(65), "b": Actual(Fate.FAILED, 4, None, "record")}
    found = joined(accounts, records)
    assert found["a"].time_s == 65
    assert found["b"].fate is Fate.OUT_OF_MEMORY


def test_a_plan_of_version_1_is_checked_without_risks() -> None:
    new = ("array", "task", "array_time_s", "array_memory_bytes", "folder", "fidelity", "slot")
    row = {key: value for key, value in planned_row("a").items() if key not in new}
    plan = PlanFile.model_validate({"jobs": [row]})
    check = check_jobs(plan, {"b": _finished(1)})
    assert _risks(check, "a") == (None, None, None)
    assert any("made by an older perfkit" in notice for notice in check.notices)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "is not a plan of 'perfkit plan': jobs field required"),
        ('{"jobs": []}', "is not a plan of 'perfkit plan'"),
        ("[", "is not a plan of 'perfkit plan'"),
        (json.dumps({"jobs": [planned_row("a", time_s=-1)]}), "is not a plan"),
        (
            json.dumps({"jobs": [planned_row("a", time_low_s=300)]}),
            "low, value and high in ascending",
        ),
        (json.dumps({"version": 99, "jobs": [planned_row("a")]}), "version is 99"),
    ],
)
def test_another_file_is_refused_as_a_plan(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError) as refused:
        PlanFile.load(tmp_path)
    assert message in str(refused.value)
    with pytest.raises(UserError, match="cannot be read"):
        PlanFile.load(tmp_path / "none")


def test_a_failed_job_above_its_request_ran_out_of_memory() -> None:
    """Where memory is only sampled, Slurm calls a job that it ended for its memory failed."""
    plan = _plan(planned_row("a"), planned_row("b", task=2), planned_row("c", task=3, array="x"))
    failed = Actual(Fate.FAILED, 20, 11 * GB, "test")
    accounts = [
        AccountedJob("perfkit-node-1-abc", 1, failed),
        AccountedJob("perfkit-node-1-abc", 2, replace(failed, memory_bytes=9 * GB)),
        # It did not run under the limits of the plan.
        AccountedJob("c", None, failed),
    ]
    found = match_accounts(plan.jobs, accounts)
    fates = {name: actual.fate for name, actual in found.items()}
    assert fates == {"a": Fate.OUT_OF_MEMORY, "b": Fate.FAILED, "c": Fate.FAILED}

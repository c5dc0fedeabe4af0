"""Accounts of Slurm, in the format of sacct(1) with ``--parsable2``."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.capacity.check.actual import AccountedJob, Fate
from perfkit.cluster.accounting import read_accounts
from perfkit.errors import UserError

ACCOUNTS = """\
JobID|JobName|State|Elapsed|MaxRSS
1234_1|perfkit-node-1|COMPLETED|01:02:03|
1234_1.batch|batch|COMPLETED|01:02:03|2097152K
1234_1.extern|extern|COMPLETED|01:02:03|1024K
1234_2|perfkit-node-1|OUT_OF_MEMORY|00:10:00|
1234_2.batch|batch|OUT_OF_MEMORY|00:10:00|1.5G
1234_2.extern|extern|COMPLETED|00:10:00|0
1234_3|perfkit-node-1|TIMEOUT|2-03:00:01|
1234_3.batch|batch|CANCELLED|2-03:00:02|512M
1234_4|perfkit-node-1|PREEMPTED|00:00:10|
1234_5|perfkit-node-1|NODE_FAIL|00:00:11|
1234_6|perfkit-node-1|CANCELLED by 1000|00:00:12|
1234_7|perfkit-node-1|FAILED|00:00:13|
1234_7.batch|batch|FAILED|00:00:13|4096
1234_8|perfkit-node-1|RUNNING|00:20:00|
1234_[9-11,14%2]|perfkit-node-1|PENDING|00:00:00|
2000|alpha|beta|COMPLETED|00:00:05|
2000.0|python|COMPLETED|00:00:05|3T
"""
"""Lines of jobs and steps, of which the last job has the separator in its name."""


def _read(folder: Path, text: str) -> list[AccountedJob]:
    path = folder / "jobs.txt"
    path.write_text(text)
    return read_accounts(path)


def test_every_state_of_a_job_is_read(tmp_path: Path) -> None:
    found = _read(tmp_path, ACCOUNTS)
    assert [(job.task, job.actual.fate) for job in found] == [
        (1, Fate.FINISHED),
        (2, Fate.OUT_OF_MEMORY),
        (3, Fate.TIME_LIMIT),
        (4, Fate.INTERRUPTED),
        (5, Fate.INTERRUPTED),
        (6, Fate.CANCELLED),
        (7, Fate.FAILED),
        (8, Fate.RUNNING),
        (9, Fate.QUEUED),
        (10, Fate.QUEUED),
        (11, Fate.QUEUED),
        (14, Fate.QUEUED),
        (None, Fate.FINISHED),
    ]
    assert {job.name for job in found} == {"perfkit-node-1", "alpha|beta"}


def test_time_is_of_the_job_and_memory_of_its_largest_step(tmp_path: Path) -> None:
    found = {job.task: job.actual for job in _read(tmp_path, ACCOUNTS)}
    assert (found[1].time_s, found[1].memory_bytes) == (3723.0, 2 * 2**30)
    assert (found[2].time_s, found[2].memory_bytes) == (600.0, 3 * 2**29)
    assert (found[3].time_s, found[3].memory_bytes) == (2 * 86400 + 3 * 3600 + 1, 2**29)
    assert (found[7].memory_bytes, found[None].memory_bytes) == (4096, 3 * 2**40)
    assert (found[8].time_s, found[8].memory_bytes) == (1200.0, None)
    assert (found[9].time_s, found[9].source) == (None, "Slurm job 1234_9")


def test_runs_of_a_requeued_job_are_kept_apart(tmp_path: Path) -> None:
    """As with ``--duplicates``: the first run was preempted at 5 min."""
    text = (
        "JobID|JobName|State|Elapsed|MaxRSS|\n"
        "7_1|a|REQUEUED|00:05:00||\n7_1.batch|batch|CANCELLED|00:05:00|1G|\n"
        "7_1|a|COMPLETED|00:20:00||\n7_1.batch|batch|COMPLETED|00:20:00|2G|\n"
    )
    first, last = _read(tmp_path, text)
    assert (first.actual.fate, first.actual.memory_bytes) == (Fate.QUEUED, 2**30)
    assert (last.actual.fate, last.actual.time_s) == (Fate.FINISHED, 1200.0)
    assert last.actual.memory_bytes == 2 * 2**30


def test_further_columns_in_any_order_are_read(tmp_path: Path) -> None:
    text = (
        "User|maxrss|Elapsed|STATE|jobname|JOBID\n"
        "x||00:01:00|COMPLETED|a|5\nx|1M|00:01:00|COMPLETED|batch|5.batch\n"
    )
    (job,) = _read(tmp_path, text)
    assert (job.name, job.actual.time_s, job.actual.memory_bytes) == ("a", 60.0, 2**20)


def test_a_list_of_tasks_that_slurm_has_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    text = "JobID|JobName|State|Elapsed|MaxRSS\n9_[1,3-7:2,10...]|a|PENDING|00:00:00|\n"
    assert [job.task for job in _read(tmp_path, text)] == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not the output of sacct, whose first line names the columns"),
        ("name,tokens\na,4\n", "is not the output of sacct"),
        ("5|a|COMPLETED|00:01:00|\n", "is not the output of sacct"),
        ("JobID|JobName|State|Elapsed\n", "has no column MaxRSS: make it with 'sacct"),
        ("JobID|State|Elapsed|MaxRSS\n", "has no column JobName"),
        ("JobID|JobName|State|Elapsed|MaxRSS\n5|a\n", "line 2: '5|a' is not a line of sacct"),
        ("JobID|JobName|State|Elapsed|MaxRSS\nx|a|COMPLETED|00:01:00|\n", "line 2: 'x|a|COMP"),
        ("JobID|JobName|State|Elapsed|MaxRSS\n5|a|COMPLETED|soon|\n", "line 2: Elapsed is 'soon'"),
        ("JobID|JobName|State|Elapsed|MaxRSS\n5|a|done|00:01:00|\n", "line 2: the state is 'done'"),
        ("JobID|JobName|State|Elapsed|MaxRSS\n5|a|COMPLETED|00:01:00|big\n", "MaxRSS is 'big'"),
        ("JobID|JobName|State|Elapsed|MaxRSS\n5_[x]|a|PENDING|00:00:00|\n", "are not tasks of an"),
    ],
)
def test_other_text_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        _read(tmp_path, text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_accounts(tmp_path / "none.txt")

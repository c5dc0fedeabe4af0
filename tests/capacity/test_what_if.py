"""Changes to a whole queue."""

from __future__ import annotations

import pytest

from perfkit.capacity.queue.jobs import sized_jobs
from perfkit.capacity.queue.what_if import what_if
from perfkit.errors import UserError


def test_a_what_if_changes_only_jobs_it_applies_to() -> None:
    jobs = [*sized_jobs("af3", "100"), *sized_jobs("gencast", "2")]
    change = what_if({"seeds": 5, "members": 8}, "300", "af3")
    fold, forecast = (change.applied(job) for job in jobs)
    assert (fold.size, fold.fidelity["seeds"], fold.options) == (300, 5, {"size": "300"})
    assert (forecast.size, forecast.fidelity["members"]) == (91 * 180, 8)
    assert change.text == "seeds 5, members 8, size 300"


def test_no_change_changes_nothing() -> None:
    (job,) = sized_jobs("gencast", "2")
    change = what_if({"seeds": None, "members": None}, None, "af3")
    assert change.text == ""
    assert change.applied(job) == job


@pytest.mark.parametrize(
    ("fidelity", "size", "expected"),
    [
        ({"seeds": 0}, None, "--seeds takes 1 or more, up to 100000, not 0"),
        ({"members": 1_000_001}, None, "--members takes 1 or more, up to 1000000, not 1000001"),
        ({"member": 1}, None, "unknown axis 'member'; the nearest is 'members'"),
        ({}, "40,50", "--size takes one size with --jobs, not '40,50'"),
        ({}, "0", "--size: tokens is '0'"),
    ],
)
def test_an_impossible_change_is_refused(
    fidelity: dict[str, int], size: str | None, expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        what_if(fidelity, size, "af3")

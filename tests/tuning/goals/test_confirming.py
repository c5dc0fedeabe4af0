"""Which configurations have to be confirmed, from screened records worked out by hand."""

from __future__ import annotations

import pytest

from perfkit.records.schema import Compilation, Outcome, Record
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.goals.confirming import predicted_peak_bytes, worth_confirming
from perfkit.tuning.goals.goal import Goal, make_goal
from tests.support.confirmations import stock
from tests.support.replay import record

GB = 1_000_000_000


def _program(gigabytes: float) -> Compilation:
    """A program whose arguments take 1 GB, and its temporary memory the rest."""
    return Compilation(
        cache="off",
        temporary_bytes=int((gigabytes - 1) * GB),
        argument_bytes=GB,
        output_bytes=0,
        code_bytes=0,
        flops=0.0,
        bytes_accessed=0.0,
        parts={},
    )


def _shallow(one: Record) -> Record:
    """The record as that of a shallow network in a shared process of 50 GB."""
    workload = one.workload.model_copy(update={"depth": "shallow", "digest": "shallow"})
    changed = {"workload": workload, "shared_process": True, "peak_rss_bytes": 50 * GB}
    return one.model_copy(update=changed)


def _screened(name: str, ratio: float, gigabytes: float, outcome: Outcome = Outcome.OK) -> Record:
    """A candidate that is ``ratio`` times as fast as stock, whose shallow program has 2 GB."""
    times = dict.fromkeys(range(4), 10.0 / ratio)
    return _shallow(
        record(
            {name: "1"}, times=times, block="x", compilation=_program(gigabytes), outcome=outcome
        )
    )


SHALLOW_STOCK = _shallow(stock(dict.fromkeys(range(4), 10.0), compilation=_program(2.0)))
FULL_STOCK = stock({0: 80.0}, role="confirm", block="full", peak_rss_bytes=5 * GB)
SCREENED = [
    FULL_STOCK,
    SHALLOW_STOCK,
    _screened("fast", 4.0, 3.0),
    _screened("lean", 3.8, 1.8),
    _screened("tiny", 2.0, 1.2),
    _screened("beaten", 3.0, 2.5),
    _screened("wrong", 9.0, 1.0, Outcome.DISAGREES),
]


def _wanted(goal: Goal) -> list[str]:
    return [next(iter(settings)) for settings in worth_confirming(SCREENED, goal)]


def test_shallow_and_shared_records_give_no_time_and_no_memory() -> None:
    rows = {row.label: row for row in recommend(SCREENED).rows}
    fast = rows["fast=1"]
    assert (fast.time_s, fast.peak_rss_bytes, fast.cpu_s) == (None, 0, None)
    assert fast.speedup is not None
    assert fast.speedup.median == pytest.approx(4.0)
    assert rows["stock"].time_s is not None
    assert rows["stock"].time_s.median == pytest.approx(80.0)
    assert rows["stock"].peak_rss_bytes == 5 * GB


def test_the_peak_is_predicted_from_the_difference_of_the_programs() -> None:
    rows = {row.label: row for row in recommend(SCREENED).rows}
    # Stock: 5 GB at full depth and 2 GB for the shallow program.
    assert predicted_peak_bytes(SCREENED, rows["fast=1"]) == 6 * GB
    assert predicted_peak_bytes(SCREENED, rows["tiny=1"]) == pytest.approx(4.2 * GB)
    assert predicted_peak_bytes(SCREENED, rows["stock"]) == 5 * GB


def test_without_the_peak_of_stock_nothing_is_predicted() -> None:
    rows = {row.label: row for row in recommend(SCREENED[1:]).rows}
    assert predicted_peak_bytes(SCREENED[1:], rows["fast=1"]) is None


def test_what_an_allocator_keeps_counts_where_processes_were_alone() -> None:
    """Stock takes 4 GB for a program of 2 GB, the allocators 1 GB and 3 GB beyond theirs."""

    def alone(settings: dict[str, str], ratio: float, peak: int, program: float = 1.8) -> Record:
        times = dict.fromkeys(range(4), 10.0 / ratio)
        one = _shallow(record(settings, times=times, block="x", compilation=_program(program)))
        stages = [stage.model_copy(update={"peak_rss_bytes": peak}) for stage in one.stages]
        return one.model_copy(update={"shared_process": False, "stages": stages})

    lean, rich = {"allocator": "lean"}, {"allocator": "rich"}
    screened = [
        alone({}, 1.0, 4 * GB, program=2.0),
        alone(lean, 3.99, int(2.8 * GB)),
        alone(rich, 4.0, int(4.8 * GB)),
        # It shared a process, whose memory says nothing.
        _shallow(
            record(
                lean | {"fast": "1"},
                times=dict.fromkeys(range(4), 5.0),
                block="x",
                compilation=_program(1.7),
            )
        ),
    ]
    rows = {row.label: row for row in recommend([FULL_STOCK, *screened]).rows}
    expected = {"allocator=lean": 3.8, "allocator=rich": 5.8, "allocator=lean fast=1": 3.7}
    for label, gigabytes in expected.items():
        seen = predicted_peak_bytes([FULL_STOCK, *screened], rows[label])
        assert seen == pytest.approx(gigabytes * GB)
    # Before stock ran at full depth, peaks are those of the shallow network.
    assert predicted_peak_bytes(screened, rows["allocator=lean"]) == pytest.approx(2.8 * GB)
    wanted = worth_confirming(screened, make_goal())
    assert list(wanted) == [rich, lean]


def test_the_fastest_is_enough_for_latency() -> None:
    assert _wanted(make_goal()) == ["fast"]


def test_a_small_gain_for_more_memory_is_confirmed_with_its_cheaper_rival() -> None:
    # 5 % more time for a doubling: lean is 4 / 3.8 = 1.053 slower, at 4.8 GB instead of 6 GB.
    assert _wanted(make_goal(memory_exchange=0.5)) == ["fast", "lean"]


def test_memory_needs_the_smallest_within_the_slack() -> None:
    # lean is 5 % slower than fast; beaten is 33 % slower, tiny 100 %.
    assert _wanted(make_goal("memory")) == ["fast", "lean"]
    assert _wanted(make_goal("memory", slack=0.3)) == ["fast", "lean", "beaten"]
    assert _wanted(make_goal("memory", slack=1.0)) == ["fast", "tiny", "lean", "beaten"]


def test_the_front_needs_its_members() -> None:
    assert _wanted(make_goal(pareto=True)) == ["fast", "lean", "tiny"]


def test_constraints_rule_candidates_out() -> None:
    assert _wanted(make_goal(memory_bytes=5 * GB)) == ["lean"]


def test_the_number_of_configurations_is_bounded() -> None:
    goal = make_goal("memory", slack=1.0)
    assert len(worth_confirming(SCREENED, goal, most=2)) == 2


def test_nothing_is_confirmed_before_anything_was_screened() -> None:
    assert worth_confirming([FULL_STOCK], make_goal("memory")) == ()

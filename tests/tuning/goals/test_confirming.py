"""Which configurations have to be confirmed, from screened records worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from perfkit.records.schema import Compilation, Outcome, Record
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.goals.confirming import predicted_peak_bytes, smaller_equal, worth_confirming
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


def _with_peak(one: Record, gigabytes: float) -> Record:
    """The record with a peak in each of its passes."""
    peak = round(gigabytes * GB)
    stages = [stage.model_copy(update={"peak_rss_bytes": peak}) for stage in one.stages]
    return one.model_copy(update={"stages": stages})


def _shallow(one: Record) -> Record:
    """The record as that of a shallow network in a shared process, with unknown peaks of passes."""
    workload = one.workload.model_copy(update={"depth": "shallow", "digest": "shallow"})
    changed = {"workload": workload, "shared_process": True, "peak_rss_bytes": 50 * GB}
    return _with_peak(one.model_copy(update=changed), 0.0)


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


def test_memory_that_a_knob_states_is_the_least_that_is_predicted() -> None:
    """The compiler does not count constants: the program of ``tiny`` looks smaller than stock's."""
    rows = {row.label: row for row in recommend(SCREENED).rows}

    def known_memory(settings: Mapping[str, str]) -> float:
        return 2.0 if "tiny" in settings else 1.0

    assert predicted_peak_bytes(SCREENED, rows["tiny=1"], known_memory) == 10 * GB
    assert predicted_peak_bytes(SCREENED, rows["fast=1"], known_memory) == 6 * GB
    goal = make_goal("memory", slack=1.0)
    assert {"tiny": "1"} in worth_confirming(SCREENED, goal)
    assert {"tiny": "1"} not in worth_confirming(SCREENED, goal, 2, known_memory)


def test_without_the_peak_of_stock_nothing_is_predicted() -> None:
    rows = {row.label: row for row in recommend(SCREENED[1:]).rows}
    assert predicted_peak_bytes(SCREENED[1:], rows["fast=1"]) is None


def test_what_an_allocator_keeps_counts_where_processes_were_alone() -> None:
    """Stock takes 4 GB for a program of 2 GB, the allocators 1 GB and 3 GB beyond theirs."""

    def alone(settings: dict[str, str], ratio: float, peak: float, program: float = 1.8) -> Record:
        times = dict.fromkeys(range(4), 10.0 / ratio)
        one = _shallow(record(settings, times=times, block="x", compilation=_program(program)))
        return _with_peak(one, peak).model_copy(update={"shared_process": False})

    lean, rich = {"allocator": "lean"}, {"allocator": "rich"}
    screened = [
        alone({}, 1.0, 4.0, program=2.0),
        alone(lean, 3.99, 2.8),
        alone(rich, 4.0, 4.8),
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


def test_of_shared_processes_the_one_with_the_fewest_programs_tells_what_an_allocator_keeps() -> (
    None
):
    """The process of an allocator takes 1 GB beyond one program, and 2 GB more for each other."""

    def shared(allocator: str, number: int, peak: float) -> Record:
        settings = {"allocator": allocator, "number": str(number)}
        one = _shallow(
            record(settings, times=dict.fromkeys(range(4), 2.5), block="x", compilation=_program(2))
        )
        return _with_peak(one, peak)

    screened = [
        _with_peak(SHALLOW_STOCK, 5.0),
        shared("lean", 0, 3.0),
        shared("lean", 1, 5.0),
        shared("rich", 0, 6.0),
        shared("rich", 1, 8.0),
    ]
    rows = {row.label: row for row in recommend([FULL_STOCK, *screened]).rows}
    for label, gigabytes in {"lean": 3, "rich": 6}.items():
        for number in range(2):
            row = rows[f"allocator={label} number={number}"]
            assert predicted_peak_bytes([FULL_STOCK, *screened], row) == gigabytes * GB


def test_the_fastest_is_enough_for_latency() -> None:
    assert _wanted(make_goal()) == ["fast"]


def test_a_small_gain_for_more_memory_is_confirmed_with_its_cheaper_rival() -> None:
    # 5 % more time for a doubling: lean is 4 / 3.8 = 1.053 slower, at 4.8 GB instead of 6 GB.
    assert _wanted(make_goal(memory_exchange=0.5)) == ["fast", "lean"]


FAST = {"fast": "1", "allocator": "rich"}
LEAN = FAST | {"allocator": "lean"}


def _smaller_equal(
    lean: float, gigabytes: float, goal: Goal | None = None, settings: dict[str, str] = LEAN
) -> dict[str, str] | None:
    """What is proposed beside a confirmed configuration of 6 GB, 4 times as fast as stock."""

    def alone(settings: dict[str, str], ratio: float, peak: float) -> Record:
        times = dict.fromkeys(range(4), 10.0 / ratio)
        one = _shallow(record(settings, times=times, block="x", compilation=_program(2.0)))
        return _with_peak(one, peak)

    screened = [
        FULL_STOCK,
        alone({}, 1.0, 3.0),
        alone(FAST, 4.0, 4.0),
        alone(settings, lean, gigabytes),
        # At full depth it is only 3 times as fast.
        record(FAST, role="confirm", block="full", times={0: 80.0 / 3}),
    ]
    return smaller_equal(screened, goal or make_goal(), screened[2].configuration.digest)


def test_an_allocator_that_keeps_less_is_proposed_beside_one_that_is_as_fast() -> None:
    # Stock has 5 GB at full depth and 3 GB in screening, so that these have 6 and 4.8 GB.
    assert _smaller_equal(4.0, 2.8) == LEAN
    # 0.32 doublings are worth 0.96 % of the time.
    assert _smaller_equal(3.97, 2.8) == LEAN
    assert _smaller_equal(3.95, 2.8) is None
    assert _smaller_equal(3.95, 2.8, make_goal(memory_exchange=0.1)) == LEAN


def test_allocators_that_keep_about_as_much_are_not_proposed() -> None:
    assert _smaller_equal(4.0, 3.8) is None


def test_another_program_is_not_proposed() -> None:
    assert _smaller_equal(4.0, 2.8, settings=LEAN | {"parameters": "constants"}) is None


def test_no_allocator_is_proposed_instead_of_stock() -> None:
    assert smaller_equal(SCREENED, make_goal(), FULL_STOCK.configuration.digest) is None


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

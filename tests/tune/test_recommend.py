"""Recommendations from records worked out by hand."""

from __future__ import annotations

import pytest
from replay import record

from perfkit.records.schema import Outcome, Record
from perfkit.stats.interval import Interval
from perfkit.tune.recommend import direct_ratios, recommend

FAST = {"a": "1"}
FASTER = {"a": "1", "b": "1"}


def _stock(times: dict[int, float], **more: object) -> Record:
    return record({}, times=times, role="base", block="x", **more)  # type: ignore[arg-type]


def test_ratios_are_taken_of_equal_rounds() -> None:
    stock = _stock({0: 10.0, 1: 20.0, 2: 30.0, 3: 7.0})
    other = record(FAST, times={0: 5.0, 1: 10.0, 2: 15.0, 9: 1.0}, block="x")
    found = recommend([stock, other])
    assert found.best is not None
    assert found.best.settings == FAST
    assert found.best.speedup == Interval(2.0, 2.0, 2.0, 3)
    assert found.sentence == (
        "2.00 times as fast as stock (95 % interval 2.00 to 2.00, 3 interleaved pairs), "
        "agreement class bfloat16."
    )


def test_trials_of_different_blocks_are_not_paired() -> None:
    stock = _stock({0: 10.0, 1: 10.0})
    other = record(FAST, times={0: 1.0, 1: 1.0}, block="another")
    assert direct_ratios([stock, other]) == {}
    found = recommend([stock, other])
    assert found.best is found.stock
    assert {row.speedup for row in found.rows if row.settings} == {None}


def test_a_chain_through_a_base_multiplies() -> None:
    records = [
        _stock({0: 30.0, 1: 30.0}),
        record(FAST, times={0: 10.0, 1: 10.0}, role="base", block="x"),
        record(FAST, times={5: 12.0, 6: 12.0}, role="base", block="y"),
        record(FASTER, times={5: 6.0, 6: 6.0}, block="y"),
    ]
    rows = {row.label: row for row in recommend(records).rows}
    # 30/10 = 3 and 12/6 = 2.
    assert rows["a=1"].speedup == Interval(3.0, 3.0, 3.0, 2)
    assert rows["a=1 b=1"].speedup == Interval(6.0, 6.0, 6.0, 2)


@pytest.mark.parametrize(
    ("outcome", "agreement"),
    [
        (Outcome.DISAGREES, "none"),
        (Outcome.NONFINITE, None),
        (Outcome.CRASHED, None),
        (Outcome.TIMEOUT, None),
        (Outcome.INTERRUPTED, None),
        (Outcome.OK, None),
    ],
)
def test_what_is_not_known_to_be_right_is_never_recommended(
    outcome: Outcome, agreement: str | None
) -> None:
    stock = _stock({0: 10.0, 1: 10.0})
    other = record(FAST, times={0: 1.0, 1: 1.0}, block="x", outcome=outcome, agreement=agreement)
    found = recommend([stock, other])
    assert found.best is found.stock
    assert found.sentence.startswith("Stay with stock")


def test_one_wrong_answer_outweighs_right_ones() -> None:
    stock = _stock({0: 10.0, 1: 10.0})
    right = record(FAST, times={0: 1.0, 1: 1.0}, block="x")
    wrong = record(FAST, outcome=Outcome.NONFINITE, agreement=None, reason="NaN in pae")
    (row,) = (row for row in recommend([stock, right, wrong]).rows if row.settings)
    assert (row.outcome, row.reason, row.eligible) == (Outcome.NONFINITE, "NaN in pae", False)


def test_an_interruption_says_nothing_against_a_configuration() -> None:
    stock = _stock({0: 10.0, 1: 10.0})
    right = record(FAST, times={0: 5.0, 1: 5.0}, block="x")
    interrupted = record(FAST, outcome=Outcome.INTERRUPTED, agreement=None)
    found = recommend([stock, right, interrupted])
    assert found.best is not None
    assert found.best.settings == FAST


def test_what_may_be_as_slow_as_stock_is_not_recommended() -> None:
    stock = _stock({0: 10.0, 1: 10.0, 2: 10.0})
    other = record(FAST, times={0: 5.0, 1: 5.0, 2: 10.1}, block="x")
    found = recommend([stock, other])
    assert found.best is found.stock


def test_one_lucky_pair_gives_way_to_several() -> None:
    stock = _stock({0: 10.0, 1: 10.0, 2: 10.0})
    lucky = record(FAST, times={0: 1.0}, block="x")
    steady = record(FASTER, times={0: 5.0, 1: 5.0}, block="x")
    found = recommend([stock, lucky, steady])
    assert found.best is not None
    assert found.best.settings == FASTER


def test_rows_are_fastest_first_and_those_without_a_time_last() -> None:
    records = [
        record({"c": "1"}, outcome=Outcome.REJECTED, agreement=None),
        _stock({0: 10.0, 1: 10.0}),
        record(FAST, times={0: 20.0, 1: 20.0}, block="x"),
        record(FASTER, times={0: 4.0, 1: 4.0}, block="x"),
    ]
    assert [row.label for row in recommend(records).rows] == ["a=1 b=1", "stock", "a=1", "c=1"]


def test_stock_alone_is_recommended_if_it_ran() -> None:
    found = recommend([_stock({0: 3.0, 1: 5.0})])
    assert found.best is found.stock
    assert found.stock is not None
    assert found.stock.time_s is not None
    assert found.stock.time_s.median == 4.0
    assert found.stock.cpu_s == 4.0
    # One CPU's work on two.
    assert found.stock.utilisation == 0.5


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "Stock was not measured, so nothing can be recommended."),
        (
            [record({}, outcome=Outcome.OUT_OF_MEMORY, agreement=None, reason="too much")],
            "Nothing can be recommended: stock ended out_of_memory (too much).",
        ),
        ([record(FAST, times={0: 1.0})], "Stock was not measured, so nothing can be recommended."),
    ],
)
def test_without_stock_nothing_is_recommended(records: list[Record], told: str) -> None:
    found = recommend(records)
    assert found.best is None
    assert found.sentence == told

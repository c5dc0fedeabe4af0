"""Recommendations from records worked out by hand."""

from __future__ import annotations

from typing import Unpack

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.recommend import recommend
from tests.support.confirmations import TWOFOLD, confirmed, stock, together
from tests.support.replay import Fields, record

FAST = {"a": "1"}
FASTER = {"a": "1", "b": "1"}


def test_six_confirmed_pairs_are_recommended_with_their_range() -> None:
    found = recommend(confirmed(FAST, TWOFOLD))
    assert found.best is not None
    assert found.best.settings == FAST
    assert found.best.speedup is not None
    assert found.best.speedup.ends == pytest.approx((1.9, 2.1))
    assert found.sentence == (
        "2.00 times as fast as stock (95 % interval 1.90 to 2.10, 6 pairs of fresh processes), "
        "agreement class bfloat16."
    )


@pytest.mark.parametrize("pairs", [1, 2, 3, 4, 5])
def test_fewer_than_six_confirmed_pairs_recommend_nothing(pairs: int) -> None:
    found = recommend(confirmed(FAST, [1.35] * pairs))
    assert found.best is found.stock
    assert found.sentence == (
        "Stay with stock: of 1 configuration tried, none was surely faster (a=1 looked 1.35 times "
        f"as fast in {pairs} pair{'s' if pairs > 1 else ''} of fresh processes, which is not sure)."
    )


def test_a_lucky_pair_does_not_beat_a_confirmed_gain() -> None:
    lucky = confirmed(FASTER, [1.35])
    found = recommend([*lucky, *confirmed(FAST, [1.04, 1.05, 1.05, 1.05, 1.06, 1.06])])
    assert found.best is not None
    assert found.best.settings == FAST


def test_screening_alone_recommends_nothing_however_many_its_rounds() -> None:
    rounds = dict.fromkeys(range(20), 10.0)
    screened = record(FAST, times=dict.fromkeys(range(20), 5.0), block="x")
    found = recommend([stock(rounds), screened])
    assert found.best is found.stock
    (row,) = (row for row in found.rows if row.settings)
    assert row.speedup == Interval(2.0, None, None, 20)
    assert "a=1 looked 2.00 times as fast in screening" in found.sentence


def test_a_chain_of_screenings_multiplies() -> None:
    records = [
        stock({0: 30.0, 1: 30.0}),
        record(FAST, times={0: 10.0, 1: 10.0}, role="base", block="x"),
        record(FAST, times={5: 12.0, 6: 12.0}, role="base", block="y"),
        record(FASTER, times={5: 6.0, 6: 6.0}, block="y"),
    ]
    rows = {row.label: row for row in recommend(records).rows}
    assert rows["a=1"].speedup is not None
    assert rows["a=1"].speedup.median == pytest.approx(3.0)
    assert rows["a=1 b=1"].speedup is not None
    # 30/10 = 3 and 12/6 = 2.
    assert rows["a=1 b=1"].speedup.median == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("outcome", "agreement"),
    [
        (Outcome.DISAGREES, "none"),
        (Outcome.NONFINITE, None),
        (Outcome.CRASHED, None),
        (Outcome.TIMEOUT, None),
        (Outcome.OK, None),
    ],
)
def test_a_configuration_without_a_right_answer_is_never_recommended(
    outcome: Outcome, agreement: str | None
) -> None:
    found = recommend(confirmed(FAST, TWOFOLD, outcome=outcome, agreement=agreement))
    assert found.best is found.stock
    assert found.sentence.startswith("Stay with stock")


def test_one_wrong_answer_outweighs_right_ones() -> None:
    wrong = record(FAST, outcome=Outcome.NONFINITE, agreement=None, reason="NaN in pae")
    found = recommend([wrong, *confirmed(FAST, TWOFOLD)])
    (row,) = (row for row in found.rows if row.settings)
    assert (row.outcome, row.reason, row.eligible) == (Outcome.NONFINITE, "NaN in pae", False)


@pytest.mark.parametrize("outcome", [Outcome.CRASHED, Outcome.OUT_OF_MEMORY, Outcome.INTERRUPTED])
@pytest.mark.parametrize("settings", [{}, FAST])
def test_a_later_good_run_supersedes_a_crash(outcome: Outcome, settings: dict[str, str]) -> None:
    killed = record(settings, outcome=outcome, agreement=None, reason="killed by signal 9")
    found = recommend([killed, *confirmed(FAST, TWOFOLD)])
    assert found.best is not None
    assert found.best.settings == FAST


@pytest.mark.parametrize("settings", [{}, FAST])
def test_one_crash_after_good_runs_was_an_accident(settings: dict[str, str]) -> None:
    killed = record(settings, outcome=Outcome.CRASHED, agreement=None, reason="killed by signal 9")
    found = recommend([*confirmed(FAST, TWOFOLD), killed])
    assert found.best is not None
    assert found.best.settings == FAST


def test_a_slow_winner_is_no_equal_of_the_fastest_for_a_single_common_block() -> None:
    both = confirmed(FASTER, [2.0] * 12)
    slow = confirmed(FAST, [1.05] * 6)
    shared: Fields = {"role": "confirm", "block": "shared"}
    common = [
        stock({0: 10.0}, **shared),
        record(FAST, times={0: 9.5}, **shared),
        record(FASTER, times={0: 5.0}, **shared),
    ]
    found = recommend([*slow, *both, *common])
    assert found.best is not None
    assert found.best.settings == FASTER


def test_a_configuration_that_may_be_as_slow_as_stock_is_not_recommended() -> None:
    found = recommend(confirmed(FAST, [1.2, 1.2, 1.2, 1.2, 1.2, 0.99]))
    assert found.best is found.stock


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        # At equal times, the stricter class wins, then the smaller memory, then fewer settings.
        ({"agreement": "bfloat16"}, {"agreement": "float32"}, FASTER),
        ({"peak_rss_bytes": 3000}, {"peak_rss_bytes": 2000}, FASTER),
        ({"peak_rss_bytes": 2001}, {"peak_rss_bytes": 2000}, FAST),
        ({}, {}, FAST),
    ],
)
def test_equal_times_are_decided_by_class_memory_and_settings(
    first: Fields, second: Fields, chosen: dict[str, str]
) -> None:
    found = recommend([*confirmed(FAST, TWOFOLD, **first), *_twelve(FASTER, **second)])
    assert found.best is not None
    assert found.best.settings == chosen
    (other,) = found.equals
    assert other.settings == (FAST if chosen == FASTER else FASTER)


def test_what_is_equally_good_is_named_with_the_reason_of_the_choice() -> None:
    loose = confirmed(FAST, TWOFOLD, agreement="bfloat16", peak_rss_bytes=2000)
    strict = _twelve(FASTER, agreement="float32", peak_rss_bytes=2000)
    found = recommend([*loose, *strict])
    assert found.chosen_because == "its agreement class is stricter"
    assert found.sentence.endswith(
        "agreement class float32. Equally good: a=1. This one is chosen because its agreement "
        "class is stricter."
    )


def test_each_reason_that_ruled_an_equal_out_is_named() -> None:
    loose = confirmed({"a": "1"}, TWOFOLD, agreement="bfloat16", peak_rss_bytes=2000)
    large = confirmed({"b": "1"}, [*TWOFOLD] * 2, agreement="float32", peak_rss_bytes=2200)
    many = confirmed({"c": "1", "d": "1"}, [*TWOFOLD] * 2, agreement="float32", peak_rss_bytes=2000)
    few = confirmed({"e": "1"}, [*TWOFOLD] * 2, agreement="float32", peak_rss_bytes=2000)
    found = recommend([*loose, *large, *many, *few])
    assert found.best is not None
    assert found.best.settings == {"e": "1"}
    assert found.chosen_because == (
        "its agreement class is stricter, it needs less memory and it has fewer settings"
    )
    assert {row.label for row in found.equals} == {"a=1", "b=1", "c=1 d=1"}


def test_a_lone_winner_has_no_equals_and_needs_no_reason() -> None:
    found = recommend(confirmed(FAST, TWOFOLD))
    assert (found.equals, found.chosen_because) == ((), "")
    assert "Equally" not in found.sentence


def test_float32_wins_over_bfloat16_of_a_narrower_interval() -> None:
    """A case from the field: 3.41 times with a distance of 0.026, and 3.49 times with 7e-06."""
    narrow = [3.39, 3.4, 3.41, 3.41, 3.42, 3.43]
    wide = [2.9, 3.1, 3.3, 3.4, 3.45, 3.48, 3.5, 3.53, 3.6, 3.7, 3.9, 4.2]
    loose = confirmed({"precision": "bfloat16"}, narrow, agreement="bfloat16")
    strict = confirmed({"precision": "float32"}, wide, agreement="float32")
    found = recommend([*loose, *strict])
    assert found.best is not None
    assert found.best.settings == {"precision": "float32"}
    assert [row.label for row in found.equals] == ["precision=bfloat16"]
    # Twice as fast, bfloat16 would be no equal.
    surely = recommend([*confirmed({"precision": "bfloat16"}, [6.8] * 6), *strict])
    assert surely.best is not None
    assert surely.best.settings == {"precision": "bfloat16"}


def test_common_blocks_separate_what_intervals_cannot() -> None:
    # The machine is between 0.5 and 2 times as fast; b is always 10 % faster than a.
    drift = [0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5, 1.7, 1.8, 1.9, 1.95, 2.0]
    found = recommend(together([{"a": 2.0 * factor, "b": 2.2 * factor} for factor in drift]))
    rows = {row.label: row for row in found.rows}
    assert rows["a=1"].speedup is not None
    assert rows["b=1"].speedup is not None
    assert rows["a=1"].speedup.high is not None
    assert rows["b=1"].speedup.low is not None
    assert rows["a=1"].speedup.high > rows["b=1"].speedup.low
    assert found.best is rows["b=1"]
    assert found.equals == ()


def test_a_stricter_class_does_not_outweigh_a_sure_loss_of_time() -> None:
    slow = [ratio / 1.5 for ratio in TWOFOLD]
    strict = confirmed(FAST, slow, agreement="float32")
    found = recommend([*strict, *_twelve(FASTER, agreement="bfloat16")])
    assert found.best is not None
    assert found.best.settings == FASTER


def _twelve(settings: dict[str, str], **fields: Unpack[Fields]) -> list[Record]:
    """The second finalist needs more pairs for an interval: twelve, about as fast as TWOFOLD."""
    return confirmed(settings, [*TWOFOLD, *TWOFOLD], **fields)


def test_rows_are_fastest_first_and_those_without_a_time_last() -> None:
    records = [
        record({"c": "1"}, outcome=Outcome.REJECTED, agreement=None),
        stock({0: 10.0, 1: 10.0}),
        record(FAST, times={0: 20.0, 1: 20.0}, block="x"),
        record(FASTER, times={0: 4.0, 1: 4.0}, block="x"),
    ]
    assert [row.label for row in recommend(records).rows] == ["a=1 b=1", "stock", "a=1", "c=1"]


def test_without_candidates_nothing_is_claimed() -> None:
    found = recommend([stock({0: 3.0, 1: 5.0})])
    assert found.best is found.stock
    assert found.sentence == (
        "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    )
    assert found.stock is not None
    assert found.stock.time_s is not None
    assert found.stock.time_s.median == 4.0
    assert found.stock.cpu_s == 4.0
    # One of two CPUs was busy.
    assert found.stock.utilisation == 0.5


def test_a_time_counts_each_process_once() -> None:
    processes = [stock(dict.fromkeys(range(50), 9.0), id="0")]
    processes += [stock({0: 1.0 + number}, id=str(number)) for number in range(1, 6)]
    (row,) = recommend(processes).rows
    assert row.time_s is not None
    # Medians 9, 2, 3, 4, 5 and 6.
    assert row.time_s == Interval(4.5, 2.0, 9.0, 6)


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([], "Stock was not measured, so nothing can be recommended."),
        (
            [record({}, outcome=Outcome.OUT_OF_MEMORY, agreement=None, reason="too much")],
            "Nothing can be recommended: stock ended out_of_memory (too much).",
        ),
        ([record(FAST, times={0: 1.0})], "Stock was not measured, so nothing can be recommended."),
    ],
)
def test_without_stock_nothing_is_recommended(records: list[Record], sentence: str) -> None:
    found = recommend(records)
    assert found.best is None
    assert found.sentence == sentence

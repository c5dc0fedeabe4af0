"""Recommendations under each objective and constraint, from records worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perfkit.records.schema import Record
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.goals.goal import Goal, make_goal
from tests.support.confirmations import confirmed, stock

GB = 1_000_000_000


def _at(
    name: str, ratio: float, gigabytes: float, *, blocks: int = 12, agreement: str = "bfloat16"
) -> list[Record]:
    """A configuration with one setting that is ``ratio`` times as fast as stock, which has 2 GB."""
    return confirmed(
        {name: "1"},
        [ratio * factor for factor in (0.995, 1.0, 1.005)] * (blocks // 3),
        stock_bytes=2 * GB,
        peak_rss_bytes=int(gigabytes * GB),
        agreement=agreement,
    )


def _chosen(found: Recommendation) -> str | None:
    return None if found.best is None else found.best.label


def _recommended(records: Sequence[Record], goal: Goal | None = None) -> str | None:
    return _chosen(recommend(records, goal))


# -- latency and the exchange rate of memory -----------------------------------------------------


def test_memory_has_to_be_paid_for_with_time() -> None:
    """A case from the field: constants took 6.3 GB instead of 2.3 GB for no gain worth it."""
    records = [*_at("constants", 2.06, 6.3), *_at("arguments", 2.0, 2.3)]
    found = recommend(records)
    assert _chosen(found) == "arguments=1"
    # 1.03 to the power of log2(6.3 / 2.3) = 1.454 is 1.044, more than 2.06 / 2 = 1.03.
    assert found.sentence.endswith(
        "constants=1 is 1.03 times as fast, but needs 2.7 times as much memory, which takes a "
        "gain of at least 1.04."
    )
    # With free memory, the faster one wins; and a gain of 6 % is worth the memory.
    assert _recommended(records, make_goal(memory_exchange=0)) == "constants=1"
    assert _recommended([*_at("constants", 2.2, 6.3), *_at("arguments", 2.0, 2.3)]) == "constants=1"


def test_a_small_gain_for_twice_the_memory_of_stock_is_no_recommendation() -> None:
    found = recommend(_at("a", 1.02, 4.0))
    assert found.best is found.stock
    assert found.sentence == (
        "Stay with stock: of 1 configuration tried, none was surely better. a=1 is 1.02 times as "
        "fast, but needs 2.0 times as much memory, which takes a gain of at least 1.03."
    )
    assert _recommended(_at("a", 1.02, 2.0)) == "a=1"
    assert _recommended(_at("a", 1.05, 4.0)) == "a=1"


def test_less_memory_never_makes_up_for_being_slower_than_stock() -> None:
    assert _recommended(_at("a", 0.98, 0.5)) == "stock"


# -- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slack", "expected"), [("0%", "fast=1"), ("10%", "lean=1"), ("40%", "tiny=1")]
)
def test_the_smallest_within_the_slack_is_recommended(slack: str, expected: str) -> None:
    # Times relative to the fastest: 1, 2 / 1.9 = 1.05 and 2 / 1.5 = 1.33.
    records = [*_at("fast", 2.0, 3.0), *_at("lean", 1.9, 2.5), *_at("tiny", 1.5, 1.0)]
    assert _recommended(records, make_goal("memory", slack=slack)) == expected


def test_the_memory_is_in_the_sentence() -> None:
    records = [*_at("fast", 2.0, 3.0), *_at("lean", 1.9, 1.5)]
    found = recommend(records, make_goal("memory"))
    assert found.sentence.startswith(
        "Smallest memory within 10 % of the fastest time: 1.5 GB, stock 2.0 GB. 1.90 times as fast"
    )


def test_stock_is_recommended_where_nothing_needs_less_memory() -> None:
    found = recommend(_at("a", 1.05, 3.0), make_goal("memory"))
    assert found.best is found.stock
    assert found.sentence == (
        "Smallest memory within 10 % of the fastest time: 2.0 GB. Stay with stock: of 1 "
        "configuration tried, none needs less memory at that time."
    )


def test_a_configuration_slower_than_stock_can_be_the_smallest() -> None:
    assert _recommended(_at("a", 0.95, 1.0), make_goal("memory")) == "a=1"
    assert _recommended(_at("a", 0.85, 1.0), make_goal("memory")) == "stock"


def test_of_equal_memory_the_stricter_class_is_recommended() -> None:
    loose = _at("loose", 2.0, 1.0)
    strict = _at("strict", 1.9, 1.02, agreement="float32")
    found = recommend([*loose, *strict], make_goal("memory"))
    assert _chosen(found) == "strict=1"
    assert found.chosen_because == "its agreement class is stricter"


# -- cost ----------------------------------------------------------------------------------------


def test_the_price_of_memory_can_outweigh_time() -> None:
    # Records have two CPUs. At 0.05 for each and 0.1 a GB, an hour costs 0.1 + 0.1 = 0.2 with 1 GB
    # and 0.1 + 0.3 = 0.4 with 3 GB: 2 s cost 0.4 / 3600, 3 s at a third of the memory 0.6 / 3600.
    records = [*_at("large", 5.0, 3.0), *_at("small", 10 / 3, 1.0)]
    by_use = make_goal("cost", price="cpu=0.05,memory=0.1")
    found = recommend(records, by_use)
    assert _chosen(found) == "small=1"
    # Stock: 10 s at 0.1 + 0.2 = 0.3 an hour are 0.000833, 3 s at 0.2 are 0.000167.
    assert found.sentence.startswith(
        "Cheapest at 0.05 per CPU-hour and 0.1 per GB-hour: 0.000167 per prediction, stock "
        "0.000833."
    )
    assert _recommended(records, make_goal("cost", price="1.2")) == "large=1"
    assert _recommended(records) == "large=1"


def test_fewer_cpus_can_be_cheaper_and_slower() -> None:
    alone = [
        one.model_copy(update={"allowed_cpus": 1}) if one.configuration.settings else one
        for one in _at("cpus", 0.6, 2.0)
    ]
    # 1 / 0.6 = 1.67 times the time of stock on half of the CPUs is 0.83 times the price.
    assert _recommended(alone, make_goal("cost", price="cpu=1")) == "cpus=1"
    assert _recommended(alone, make_goal("cost", price="1")) == "stock"
    assert _recommended(alone) == "stock"


# -- front of time and memory --------------------------------------------------------------------


def test_the_front_holds_what_no_other_beats_in_both() -> None:
    records = [
        *_at("fast", 2.0, 3.0),
        *_at("beaten", 1.5, 2.5),
        *_at("lean", 1.9, 2.4),
        *_at("tiny", 0.5, 1.0),
    ]
    found = recommend(records, make_goal(pareto=True))
    # Stock has 2 GB. beaten=1 is slower and larger than lean=1.
    assert [row.label for row in found.front] == ["fast=1", "lean=1", "stock", "tiny=1"]
    assert recommend(records).front == ()


# -- constraints ---------------------------------------------------------------------------------


def test_nothing_above_the_memory_limit_is_recommended() -> None:
    records = [*_at("large", 4.0, 3.0), *_at("small", 2.0, 2.0)]
    assert _recommended(records) == "large=1"
    assert _recommended(records, make_goal(memory_bytes=2_999_999_999)) == "small=1"
    assert _recommended(records, make_goal(memory_bytes=3 * GB)) == "large=1"


def test_nothing_looser_than_the_demanded_class_is_recommended() -> None:
    records = [*_at("loose", 4.0, 2.0), *_at("strict", 2.0, 2.0, agreement="float32")]
    found = recommend(records, make_goal(agreement="float32"))
    assert _chosen(found) == "strict=1"


def test_a_promise_of_a_looser_class_is_not_enough_whatever_is_reached() -> None:
    lucky = [_promising(one, "bfloat16") for one in _at("a", 2.0, 2.0, agreement="float32")]
    kept = [_promising(one, "float32") for one in lucky]
    assert _recommended(lucky, make_goal(agreement="float32")) is None
    assert _recommended(kept, make_goal(agreement="float32")) == "a=1"


def _promising(one: Record, declared: str) -> Record:
    assert one.agreement is not None
    agreement = one.agreement.model_copy(update={"declared": declared})
    return one.model_copy(update={"agreement": agreement})


def test_where_stock_is_too_loose_the_fastest_strict_configuration_is_recommended() -> None:
    # Stock agrees in bfloat16 only, so that being slower than stock is no reason against it.
    found = recommend(_at("strict", 0.8, 2.0, agreement="float32"), make_goal(agreement="float32"))
    assert _chosen(found) == "strict=1"
    assert found.sentence.startswith("0.80 times as fast as stock (95 % interval 0.80 to 0.80")


def test_where_stock_is_excluded_and_nothing_is_confirmed_nothing_is_recommended() -> None:
    found = recommend([stock({0: 10.0})], make_goal(agreement="float32"))
    assert found.best is None
    assert found.sentence == (
        "Nothing can be recommended: stock is excluded (its agreement class is bfloat16, not "
        "float32), and no configuration that keeps the constraints was confirmed."
    )


def test_without_preloading_no_allocator_of_its_own_library_is_recommended() -> None:
    def allocator(name: str, ratio: float) -> list[Record]:
        return confirmed({"allocator": name}, [ratio] * 12)

    records = [*allocator("jemalloc", 3.0), *allocator("glibc-keep", 2.0)]
    assert _recommended(records) == "allocator=jemalloc"
    assert _recommended(records, make_goal(preload=False)) == "allocator=glibc-keep"

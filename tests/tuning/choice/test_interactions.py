"""Interactions are measured only where all four combinations of two settings were."""

from __future__ import annotations

import pytest

from perfkit.records.schema import Record
from perfkit.tuning.choice.importance import setting_effects
from perfkit.tuning.choice.interactions import interactions
from tests.support.records_factory import make_record

A, B = {"bucket": "exact"}, {"precision": "float32"}


def in_turns(times_s: list[tuple[dict[str, str], float]]) -> list[Record]:
    """One process of three rounds for each configuration, all in one block."""
    return [
        make_record(
            settings, steady_s=[wall_s] * 3, role="screen" if settings else "base", block="one"
        )
        for settings, wall_s in times_s
    ]


def test_the_ratio_is_the_gain_of_both_over_the_product_of_both_gains() -> None:
    records = in_turns([({}, 36.0), (A, 18.0), (B, 24.0), (A | B, 10.0)])
    (found,) = interactions(records)
    # Gains of 2, 1.5 and 3.6: together 1.2 times the product of 3.
    assert (found.first, found.second) == (("bucket", "exact"), ("precision", "float32"))
    assert found.ratio == pytest.approx(1.2)
    assert (found.least, found.largest) == pytest.approx((1.2, 1.2))
    assert found.squares == 1


def test_further_settings_make_further_squares() -> None:
    c = {"allocator": "tcmalloc"}
    squares = [({}, 36.0), (A, 18.0), (B, 24.0), (A | B, 10.0)]
    # With the allocator, the four gains over stock are 1, 2, 1.5 and 3: the ratio is 1.
    more = [(c, 36.0), (A | c, 18.0), (B | c, 24.0), (A | B | c, 12.0)]
    found = {(one.first[0], one.second[0]): one for one in interactions(in_turns(squares + more))}
    both = found["bucket", "precision"]
    assert both.squares == 2
    assert (both.least, both.largest) == pytest.approx((1.0, 1.2))
    assert both.ratio == pytest.approx(1.2**0.5)


def test_without_one_of_the_four_there_is_no_interaction() -> None:
    assert interactions(in_turns([({}, 36.0), (A, 18.0), (A | B, 10.0)])) == ()


def test_every_value_has_an_effect_of_its_own() -> None:
    other = {"bucket": "128"}
    effects = setting_effects(in_turns([({}, 36.0), (A, 18.0), (other, 40.0)]))
    assert [(one.value, one.over, one.alone, one.gain.ends) for one in effects] == [
        ("exact", "", True, None),
        ("128", "", True, None),
    ]
    assert [one.gain.median for one in effects] == pytest.approx([2.0, 0.9])


def test_without_stock_a_value_is_compared_with_that_of_the_base() -> None:
    base = {"allocator": "jemalloc", "bucket": "exact"}
    records = in_turns(
        [(base, 10.0), (base | {"allocator": "tcmalloc"}, 8.0), ({"allocator": "jemalloc"}, 15.0)]
    )
    effects = {(one.knob, one.value): one for one in setting_effects(records)}
    assert set(effects) == {("allocator", "tcmalloc"), ("bucket", "exact")}
    allocator, bucket = effects["allocator", "tcmalloc"], effects["bucket", "exact"]
    assert (allocator.over, allocator.alone) == ("jemalloc", True)
    assert allocator.gain.median == pytest.approx(10 / 8)
    assert (bucket.over, bucket.alone) == ("", True)
    assert bucket.gain.median == pytest.approx(1.5)


def test_settings_that_were_only_measured_together_share_their_gain() -> None:
    effects = setting_effects(in_turns([({}, 16.0), (A | B, 4.0)]))
    assert [one.alone for one in effects] == [False, False]
    # A joint gain of 4 is 2 for each.
    assert [one.gain.median for one in effects] == pytest.approx([2.0, 2.0])
    assert all(one.gain.ends is None for one in effects)

"""Importance of knobs, from planted effects whose gains and shares are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import pytest

from perfkit.records.schema import Record
from perfkit.tuning.choice.importance import KnobImportance, importance
from tests.support.replay import record

FACTORS = {("a", "1"): 0.5, ("b", "1"): 0.8, ("b", "2"): 1.25, ("c", "1"): 1.0}


def _seconds(settings: Mapping[str, str]) -> float:
    return 10.0 * math.prod(FACTORS[setting] for setting in settings.items())


def _block(
    number: int,
    settings: Mapping[str, str],
    base: Mapping[str, str] | None = None,
    noise: float = 0,
) -> list[Record]:
    """A base and a candidate that passed in two rounds."""
    base_s, own_s = _seconds(base or {}), _seconds(settings) * math.exp(noise)
    return [
        record(base, times={0: base_s, 1: base_s}, role="base", block=f"block-{number}"),
        record(settings, times={0: own_s, 1: own_s}, block=f"block-{number}"),
    ]


def _by_knob(records: Sequence[Record]) -> dict[str, KnobImportance]:
    return {one.knob: one for one in importance(records)}


def test_gains_follow_from_pairs_that_are_chained_through_an_incumbent() -> None:
    records = [
        *_block(0, {"a": "1"}),
        *_block(1, {"a": "1", "b": "1"}, {"a": "1"}),
        *_block(2, {"a": "1", "b": "2"}, {"a": "1"}),
        *_block(3, {"a": "1", "c": "1"}, {"a": "1"}),
    ]
    found = _by_knob(records)
    assert {knob: one.gain for knob, one in found.items()} == pytest.approx(
        {"a": 2.0, "b": 1.25, "c": 1.0}
    )
    assert {knob: one.best_value for knob, one in found.items()} == {"a": "1", "b": "1", "c": "1"}
    assert {knob: one.count for knob, one in found.items()} == {"a": 1, "b": 2, "c": 1}
    # Effects from the best value to the worst: log 2, and log 1.25 to -log 1.25.
    total = math.log(2) + 2 * math.log(1.25)
    assert {knob: one.importance for knob, one in found.items()} == pytest.approx(
        {"a": math.log(2) / total, "b": 2 * math.log(1.25) / total, "c": 0.0}
    )
    # Each effect has one pair of processes, which shows no scatter.
    assert {one.interval for one in found.values()} == {None}
    assert {one.method for one in found.values()} == {"main effects"}


def test_repeated_pairs_give_students_interval() -> None:
    noise = (-0.02, 0.0, 0.02, 0.0, 0.0)
    records = [one for at, own in enumerate(noise) for one in _block(at, {"a": "1"}, noise=own)]
    (found,) = importance(records)
    assert found.gain == pytest.approx(2.0)
    # Variance 0.0008 / 4, error of the mean sqrt(0.0002 / 5), and t(0.975; 4) = 2.776.
    half = 2.776 * math.sqrt(0.0002 / 5)
    assert found.interval == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)), rel=1e-4)
    assert found.count == 5


def test_settings_that_were_only_measured_together_have_no_interval() -> None:
    records = [one for at in range(6) for one in _block(at, {"a": "1", "b": "1"})]
    found = _by_knob(records)
    assert {one.interval for one in found.values()} == {None}
    # 2 x 1.25 is shared evenly between the two.
    assert found["a"].gain * found["b"].gain == pytest.approx(2.5)


def test_many_configurations_are_judged_by_ped_anova() -> None:
    choices = itertools.product(("", "1"), ("", "1", "2"), ("", "1"), ("", "x"), ("", "y"))
    names = ("a", "b", "c", "inert", "idle")
    records: list[Record] = []
    for number, chosen in enumerate(choices):
        settings = {name: value for name, value in zip(names, chosen, strict=True) if value}
        known = {name: value for name, value in settings.items() if name in "abc"}
        if settings:
            seconds = _seconds(known)
            block = f"block-{number}"
            records += [
                record(times={0: 10.0, 1: 10.0}, role="base", block=block),
                record(settings, times={0: seconds, 1: seconds}, block=block),
            ]
    found = importance(records)
    assert {one.method for one in found} == {"ped-anova"}
    assert sum(one.importance for one in found) == pytest.approx(1.0)
    # The best quarter of the 48 configurations are those with a=1 and b=1, or a=1 and no b.
    assert {found[0].knob, found[1].knob} == {"a", "b"}
    assert sum(one.importance for one in found[2:]) < 0.1
    # Of half of them, every second by its gain, the best quarter has the same settings.
    of_half = importance(records, most=24)
    assert {of_half[0].knob, of_half[1].knob} == {"a", "b"}
    assert {one.knob: one.gain for one in of_half} == {one.knob: one.gain for one in found}


def test_without_comparisons_there_is_no_importance() -> None:
    assert importance([]) == ()
    assert importance([record({"a": "1"}, times={0: 1.0}, block=None)]) == ()

"""Instances side by side: predictions per hour worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perfkit.knobs.configuration import STOCK
from perfkit.records.disturbances import DisturbedPass
from perfkit.records.schema import Outcome, Record
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.side_by_side.instances import (
    best_instances,
    instances_sentence,
    measured_instances,
    too_large,
    too_large_sentence,
)
from tests.support.confirmations import TWOFOLD, confirmed
from tests.support.replay import record


def _free(cpus: int, memory_bytes: float) -> float:
    """Only the output of the instances counts."""
    return 1.0


def _block(
    name: str, times: Sequence[dict[int, float]], settings: dict[str, str] | None = None
) -> list[Record]:
    """The records of instances that ran at the same time; each has its seconds by round."""
    return [
        record(settings, times=own, role="together", block=name, id=f"{name}{number}").model_copy(
            update={
                "instances": len(times),
                "allowed_cpus": 4 // len(times),
                "peak_rss_bytes": 10,
            }
        )
        for number, own in enumerate(times)
    ]


def _blocks(seconds: Sequence[float], count: int) -> list[Record]:
    """Blocks of ``count`` instances, each with one round."""
    return [
        one
        for number, each_s in enumerate(seconds)
        for one in _block(f"{count}-{number}", [{0: each_s}] * count)
    ]


# -- predictions per hour ------------------------------------------------------------------------


def test_a_round_takes_as_long_as_its_slowest_pass() -> None:
    # Two instances: rounds of 10 s, 12 s and 9 s, with a median of 10 s: 720 predictions an hour.
    records = _block("a", [{0: 10.0, 1: 8.0, 2: 9.0}, {0: 7.0, 1: 12.0, 2: 9.0}])
    (found,) = measured_instances(records, STOCK.digest)
    assert (found.count, found.cpus) == (2, 2)
    assert found.blocks_per_hour == pytest.approx((720.0,))


def test_a_round_with_a_repeated_pass_does_not_count() -> None:
    first, second = _block("a", [{0: 10.0, 1: 20.0}, {0: 10.0, 1: 20.0}])
    repeated = DisturbedPass(round=0, wall_s=99.0, reason="stopped")
    second = second.model_copy(update={"disturbed_passes": [repeated]})
    (found,) = measured_instances([first, second], STOCK.digest)
    assert found.blocks_per_hour == pytest.approx((2 * 3600 / 20,))


def test_blocks_that_lack_an_instance_do_not_count() -> None:
    assert measured_instances(_block("a", [{0: 10.0}, {0: 10.0}])[:1], STOCK.digest) == ()


def test_only_instances_of_the_configuration_count() -> None:
    records = _block("a", [{0: 10.0}], {"a": "1"})
    assert measured_instances(records, STOCK.digest) == ()


def test_a_number_of_instances_of_which_one_failed_is_ruled_out() -> None:
    good, bad = _block("a", [{0: 10.0}, {0: 10.0}])
    bad = bad.model_copy(update={"outcome": Outcome.OUT_OF_MEMORY})
    alone = _block("b", [{0: 10.0}])
    (found,) = measured_instances([good, bad, *alone], STOCK.digest)
    assert found.count == 1


def test_the_best_number_is_surely_better_than_fewer() -> None:
    # Alone 4 s: 900 an hour; two in 6 s: 1200 an hour; four in 12 s: 1200 an hour.
    records = [*_blocks([4.0] * 6, 1), *_blocks([6.0] * 6, 2), *_blocks([12.0] * 6, 4)]
    found = measured_instances(records, STOCK.digest)
    assert [one.per_hour.median for one in found] == pytest.approx([900.0, 1200.0, 1200.0])
    best = best_instances(found, _free)
    assert best is not None
    assert best.count == 2
    assert best.gain(found[0]).ends == pytest.approx((4 / 3, 4 / 3))


def test_without_proof_one_instance_is_best() -> None:
    # Five turns have no interval.
    records = [*_blocks([4.0] * 5, 1), *_blocks([6.0] * 5, 2)]
    best = best_instances(measured_instances(records, STOCK.digest), _free)
    assert best is not None
    assert best.count == 1


@pytest.mark.parametrize(("dearer", "count"), [(1.2, 2), (1.5, 1)])
def test_an_hour_that_costs_more_needs_more_predictions(dearer: float, count: int) -> None:
    records = [*_blocks([4.0] * 6, 1), *_blocks([6.0] * 6, 2)]
    found = measured_instances(records, STOCK.digest)
    # Two instances predict 4/3 times as much, and need twice the memory of 10 bytes.
    best = best_instances(found, lambda cpus, memory_bytes: dearer if memory_bytes > 10 else 1.0)
    assert best is not None
    assert best.count == count


@pytest.mark.parametrize(
    ("memory_bytes", "expected"), [(44.0, ()), (43.9, (4,)), (21.0, (2, 4)), (10.0, (1, 2, 4))]
)
def test_instances_need_memory_with_a_margin(
    memory_bytes: float, expected: tuple[int, ...]
) -> None:
    # 10 bytes and a margin of 10 % for each.
    assert too_large([1, 2, 4], 10, memory_bytes) == expected


def test_what_does_not_fit_is_said() -> None:
    assert too_large_sentence(4, 3_000_000_000, 8e9) == (
        "4 instances with a peak of 3.0 GB each cannot run in 8.0 GB of memory, at 10 % of margin"
    )


# -- the recommendation --------------------------------------------------------------------------


FAST = {"a": "1"}
FAST_IN_TWO = [
    *confirmed(FAST, TWOFOLD),
    *(
        one
        for count, each_s in ((1, 4.0), (2, 6.0))
        for turn in range(6)
        for one in _block(f"{count}-{turn}", [{0: each_s}] * count, FAST)
    ),
]
"""A configuration that predicts 900 times per hour alone, and 1200 times in two instances."""


def test_throughput_recommends_the_instances_of_the_fastest_configuration() -> None:
    found = recommend(FAST_IN_TWO, make_goal("throughput"))
    assert found.best is not None
    assert found.best.settings == FAST
    # The times side by side are no times of a prediction that runs alone.
    assert found.best.time_s is not None
    assert found.best.time_s.median == pytest.approx(5.0)
    assert found.chosen_instances is not None
    assert found.chosen_instances.count == 2
    assert found.sentence.endswith(
        "2 instances of 2 CPUs: 1200.0 predictions per hour (95 % interval 1200.0 to 1200.0), 1.33 "
        "times as many as one instance (1.33 to 1.33); 1 instance of 4 CPUs 900.0."
    )
    latency = recommend(FAST_IN_TWO)
    assert latency.chosen_instances is None


def test_the_price_of_a_machine_is_divided_by_what_it_predicts() -> None:
    goal = make_goal("cost", price="2.4")
    found = recommend(FAST_IN_TWO, goal)
    # 2.4 an hour for 1200 predictions.
    assert found.sentence.endswith("A prediction then costs 0.002.")


def test_more_instances_that_are_not_surely_better_are_named() -> None:
    records = [*_blocks([4.0] * 2, 1), *_blocks([6.0] * 2, 2)]
    found = measured_instances(records, STOCK.digest)
    assert instances_sentence(found, found[0]) == (
        "1 instance of 4 CPUs: 900.0 predictions per hour; 2 instances of 2 CPUs 1200.0 (not "
        "surely better)."
    )


def test_throughput_without_instances_says_so() -> None:
    found = recommend(confirmed({"a": "1"}, TWOFOLD), make_goal("throughput"))
    assert found.sentence.endswith("Instances side by side were not measured.")

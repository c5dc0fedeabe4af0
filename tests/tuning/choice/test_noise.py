"""Differences between identical programs, worked out by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.records.schema import Record
from perfkit.stats.exact import sequential_ratio
from perfkit.tuning.choice.noise import INERT_FLAG, VISIBLE, inert_configurations, noise_of
from tests.support.replay import Fields, record


def _pairs(ratios: list[list[float]]) -> list[Record]:
    """One block per list, with one round per ratio of stock to its double."""
    found = []
    for block, rounds in enumerate(ratios):
        own: Fields = {"role": "confirm", "block": str(block)}
        found.append(record({}, times=dict.fromkeys(range(len(rounds)), 10.0), **own))
        times = {number: 10.0 / ratio for number, ratio in enumerate(rounds)}
        found.append(record({INERT_FLAG: "1000"}, times=times, **own))
    return found


def test_passes_differ_and_processes_agree() -> None:
    up, down = math.exp(0.1), math.exp(-0.1)
    noise = noise_of(_pairs([[up, 1.0, down], [down, 1.0, up]]))
    assert noise is not None
    # Four squares of 0.1 over 6 rounds less 2 medians.
    assert noise.pass_sigma == pytest.approx(math.sqrt(0.04 / 4))
    assert noise.process_sigma == 0.0
    assert (noise.pairs, noise.passes) == (2, 3)
    assert noise.ratio.median == pytest.approx(1.0)


def test_passes_agree_and_processes_differ() -> None:
    up, down = math.exp(0.1), math.exp(-0.1)
    noise = noise_of(_pairs([[up] * 4, [down] * 4]))
    assert noise is not None
    assert noise.pass_sigma == pytest.approx(0.0)
    # The variance of 0.1 and -0.1 is 0.02.
    assert noise.process_sigma == pytest.approx(math.sqrt(0.02))
    # More passes do not reduce it.
    assert noise.visible_gain(6, 100) == pytest.approx(noise.visible_gain(6, 1))
    assert noise.visible_gain(24, 1) < noise.visible_gain(6, 1)


def test_one_pair_shows_no_noise() -> None:
    assert noise_of(_pairs([[1.0, 1.1]])) is None
    assert noise_of([]) is None


def test_inert_configurations_differ_from_stock_and_from_each_other() -> None:
    found = inert_configurations(Catalogue(), 4)
    assert len({STOCK, *found}) == 5
    assert {one.layers for one in found} == {found[0].layers}


@pytest.mark.parametrize("pairs", [6, 12])
def test_the_gain_that_is_called_visible_is_found_in_four_of_five_cases(pairs: int) -> None:
    """Of 600 series 480 are expected; four standard errors are 39."""
    generator = np.random.default_rng(pairs)
    series = generator.standard_normal((600, pairs)) + VISIBLE[pairs]
    found = sum(sequential_ratio(0.05 * one).surely_above(1.0) for one in series)
    assert abs(found - 480) <= 39

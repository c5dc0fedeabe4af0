"""Buckets: as cheap as the best of all partitions of the sizes."""

from __future__ import annotations

import itertools
import random

import pytest

from perfkit.capacity.queue.buckets import choose_buckets


def _cost(sizes: list[int], counts: list[float], compile_s: float, cuts: tuple[int, ...]) -> float:
    """Seconds of a partition whose groups end before each cut; a pass of size n takes n² s."""
    total = 0.0
    for begin, end in itertools.pairwise((0, *cuts, len(sizes))):
        total += compile_s + sum(counts[begin:end]) * sizes[end - 1] ** 2
    return total


@pytest.mark.parametrize("seed", range(10))
def test_no_other_partition_is_cheaper(seed: int) -> None:
    generator = random.Random(seed)
    sizes = sorted(generator.sample(range(5, 60), 8))
    counts = [float(generator.randint(1, 4)) for _ in sizes]
    compile_s = generator.choice((100.0, 1000.0, 5000.0))
    buckets = choose_buckets(
        sizes, {"pass": counts}, {"pass": [n**2 for n in sizes]}, [compile_s] * len(sizes)
    )
    found = tuple(place for place in range(1, 8) if buckets[place] != buckets[place - 1])
    best = min(
        _cost(sizes, counts, compile_s, cuts)
        for many in range(8)
        for cuts in itertools.combinations(range(1, 8), many)
    )
    assert _cost(sizes, counts, compile_s, found) == pytest.approx(best)


def test_free_compilation_pads_nothing() -> None:
    sizes = [10, 11, 12]
    seconds = {"pass": [100.0, 121.0, 144.0]}
    assert choose_buckets(sizes, {"pass": [1.0] * 3}, seconds, [0.0] * 3) == sizes


def test_expensive_compilation_shares_one_program() -> None:
    """Padding 10 and 11 to 12 costs 44 + 23 s, each further program 100 s."""
    seconds = {"pass": [100.0, 121.0, 144.0]}
    assert choose_buckets([10, 11, 12], {"pass": [1.0] * 3}, seconds, [100.0] * 3) == [12, 12, 12]


def test_a_distant_size_keeps_its_own_program() -> None:
    """10 and 11 cost 21 + 50 s with one program and 100 s with two; 90 is far from both."""
    seconds = {"pass": [100.0, 121.0, 8100.0]}
    assert choose_buckets([10, 11, 90], {"pass": [1.0] * 3}, seconds, [50.0] * 3) == [11, 11, 90]

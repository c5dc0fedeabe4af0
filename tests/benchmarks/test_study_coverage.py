"""The simulated studies behind the claims of tuning, at a size that a test can afford."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.shared_screening import play
from benchmarks.simulated import Machine, Noise, names, run_study
from perfkit.tuning.search.registry import make_strategy

CHEAP = Machine("cheap", pass_s=1.0, start_s=5.0, restart_s=2.0)
QUIET = Noise("1 %", pass_sigma=0.01)


def test_a_gain_of_five_per_cent_is_found_on_a_quiet_machine(tmp_path: Path) -> None:
    factors = dict.fromkeys(names(6), 1.0) | {"knob02": 1 / 1.05}
    best = run_study(tmp_path, factors, CHEAP, QUIET, 1000.0, seed=1).recommendation().best
    assert best is not None
    assert "knob02" in best.settings
    assert best.speedup is not None
    assert best.speedup.ends is not None
    low, high = best.speedup.ends
    assert low <= 1.05 <= high


def test_equal_candidates_rarely_yield_a_recommendation(tmp_path: Path) -> None:
    """If 5 % of studies may err, four errors or more in ten have a probability of 0.1 %."""
    noise = Noise("5 %, processes 5 %", pass_sigma=0.05, process_sigma=0.05)
    factors = dict.fromkeys(names(4), 1.0)
    winners = 0
    for seed in range(10):
        folder = tmp_path / str(seed)
        found = run_study(folder, factors, CHEAP, noise, 600.0, seed).recommendation()
        winners += found.best is not found.stock
    assert winners <= 3


def test_differences_between_processes_widen_the_interval(tmp_path: Path) -> None:
    """Passes that agree within 0.1 % do not narrow it if processes differ by 10 %."""
    noise = Noise("processes 10 %", pass_sigma=0.001, process_sigma=0.10)
    factors = {"knob00": 0.5}
    (row,) = (
        row
        for row in run_study(tmp_path, factors, CHEAP, noise, 600.0, 3).recommendation().rows
        if row.settings
    )
    assert row.speedup is not None
    assert row.speedup.ends is not None
    low, high = row.speedup.ends
    assert low <= 2.0 <= high
    assert high / low > 1.1


SHARED = Machine("shared", pass_s=3.0, start_s=10.0, restart_s=5.0, program_s=5.0, shallow=0.2)
LAYOUT = Noise("programs 1 %", pass_sigma=0.01, process_sigma=0.05, program_sigma=0.01)


def test_shared_screening_finds_a_gain_among_equals() -> None:
    """A gain of 15 % is always found. Programs that differ by 1 % add few settings to it."""
    factors = dict.fromkeys(names(6), 1.0) | {"knob03": 1 / 1.15}
    winners = [
        dict(play(make_strategy(), factors, SHARED, LAYOUT, 2000.0, seed).winner)
        for seed in range(10)
    ]
    assert all("knob03" in winner for winner in winners)
    idle = sum(len(winner) - 1 for winner in winners)
    assert idle <= 10


@pytest.mark.parametrize("name", ["coordinate-ascent", "screen+tpe", "random"])
def test_equal_programs_in_one_process_rarely_yield_a_recommendation(name: str) -> None:
    """If 5 % of searches may err, four errors or more in ten have a probability of 0.1 %."""
    factors = dict.fromkeys(names(5), 1.0)
    wrong = [
        bool(play(make_strategy(name), factors, SHARED, LAYOUT, 900.0, seed).winner)
        for seed in range(10)
    ]
    assert sum(wrong) <= 3


def test_a_knob_of_the_process_is_screened_in_a_process_of_its_own() -> None:
    """With equal processes, its gain is found as that of any other knob."""
    factors = {"knob00": 1.0, "xla_knob01": 0.8}
    quiet = Noise("1 %", pass_sigma=0.01)
    played = play(make_strategy(), factors, SHARED, quiet, 2000.0, seed=1)
    assert dict(played.winner) == {"xla_knob01": "on"}
    stock, plain, own = (
        played.space.catalogue.configuration(settings)
        for settings in ({}, {"knob00": "on"}, {"xla_knob01": "on"})
    )
    evidence = played.evidence
    (with_stock, *_) = evidence.pairs(stock.digest, plain.digest)
    (alone, *_) = evidence.pairs(stock.digest, own.digest)
    assert with_stock.together
    assert not alone.together

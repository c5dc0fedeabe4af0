"""The simulated studies behind the claims of tuning, at a size that a test can afford."""

from __future__ import annotations

from pathlib import Path

from benchmarks.simulated import Machine, Noise, names, run_study

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

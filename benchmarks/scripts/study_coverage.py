"""Check the claims of tuning on simulated machines: coverage, false winners, gains found.

Runs whole studies, with perfkit's strategy, study and statistics, on passes drawn from noise models
(benchmarks/simulated.py), and prints one row per noise model:

- coverage of the printed intervals of speed-ups and of times (95 % is claimed),
- share of studies of equal candidates that recommend one of them (5 % at most),
- share of studies with one gain of 5 % among equal candidates that recommend a configuration with
  it,
- number of settings without effect in the recommendations of the latter studies.

The exit code is 1 if the intervals surely cover less than 93 %, or if false winners are surely more
frequent than 5 %.

With ``--shared``, screening runs shallow networks in shared processes
(benchmarks/shared_screening.py). Times have no interval then, and a drifting machine is left out.

Usage: python -m benchmarks.scripts.study_coverage [--studies 200] [--machine gencast|af3]
       [--strategy coordinate-ascent] [--shared]
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from scipy.stats import beta, binom

from benchmarks.shared_screening import Played, play
from benchmarks.simulated import Machine, Noise, names, run_study
from perfkit.tuning.search.registry import DEFAULT_STRATEGY, STRATEGIES, make_strategy
from perfkit.tuning.studies.study import Study
from perfkit.units import parse_duration

CANDIDATES = 10
GAIN = 1.05

MACHINES = {
    # GenCast at 2 degrees, and AlphaFold 3 on ubiquitin without padding, on 2 cores.
    "gencast": Machine(
        "gencast", pass_s=1.5, start_s=18.0, restart_s=9.0, program_s=3.0, shallow=0.5
    ),
    "af3": Machine("af3", pass_s=3.3, start_s=35.0, restart_s=14.0, program_s=9.0, shallow=0.15),
}

NOISES = (
    Noise("lognormal 1 %", pass_sigma=0.01),
    Noise("lognormal 3 %", pass_sigma=0.03),
    Noise("lognormal 5 %", pass_sigma=0.05),
    Noise("lognormal 10 %", pass_sigma=0.10),
    Noise("3 %, 5 % outliers of 1.5x", pass_sigma=0.03, outlier_share=0.05),
    Noise("3 %, drift 20 % an hour", pass_sigma=0.03, drift_per_hour=0.2),
    Noise("2 %, processes 5 %", pass_sigma=0.02, process_sigma=0.05),
    Noise("2 %, processes 10 %", pass_sigma=0.02, process_sigma=0.10),
    Noise("2 %, processes 20 %", pass_sigma=0.02, process_sigma=0.20),
    Noise("1 %, programs 1 %", pass_sigma=0.01, process_sigma=0.03, program_sigma=0.01),
    Noise("1 %, programs 3 %", pass_sigma=0.01, process_sigma=0.03, program_sigma=0.03),
)


@dataclass
class Tally:
    """Results of the studies under one noise model, one entry per study or interval."""

    speedups: list[bool] = field(default_factory=list)
    times: list[bool] = field(default_factory=list)
    false_winners: list[bool] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    idle_settings: list[int] = field(default_factory=list)

    def add(self, study: Study, machine: Machine, noise: Noise, real: dict[str, float]) -> None:
        """Compare the rows of a study with the truth."""
        recommendation = study.recommendation()
        for row in recommendation.rows:
            factor = math.prod(real.get(name, 1.0) for name in row.settings)
            if row.speedup is not None and row.speedup.ends is not None and row.settings:
                low, high = row.speedup.ends
                self.speedups.append(low <= 1 / factor <= high)
            if row.time_s is not None and row.time_s.ends is not None and not noise.drift_per_hour:
                # A drifting machine has no true time.
                low, high = row.time_s.ends
                self.times.append(low <= machine.pass_s * factor <= high)
        best = recommendation.best
        self._judge(set() if best is None else set(best.settings), real)

    def add_played(self, played: Played, real: dict[str, float]) -> None:
        """Compare a search with shared screening with the truth."""
        for settings, ratio in played.speedups.items():
            if ratio.ends is not None:
                factor = math.prod(real.get(name, 1.0) for name, _ in settings)
                self.speedups.append(ratio.ends[0] <= 1 / factor <= ratio.ends[1])
        self._judge({name for name, _ in played.winner}, real)

    def _judge(self, settings: set[str], real: dict[str, float]) -> None:
        """Note whether the recommended settings are right."""
        if real:
            self.found.append(bool(settings & real.keys()))
            self.idle_settings.append(len(settings - real.keys()))
        else:
            self.false_winners.append(bool(settings))


def main() -> int:
    """Run the studies and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--studies",
        type=int,
        default=200,
        help="number of studies with and without a gain (default 200)",
    )
    parser.add_argument("--machine", choices=MACHINES, default="gencast")
    parser.add_argument("--budget", default="17m")
    parser.add_argument("--noise", help="run only the noise models whose name contains this text")
    parser.add_argument("--strategy", choices=STRATEGIES, default=DEFAULT_STRATEGY)
    parser.add_argument(
        "--shared", action="store_true", help="screen shallow networks in shared processes"
    )
    given = parser.parse_args()
    machine, budget_s = MACHINES[given.machine], parse_duration(given.budget)
    print(
        f"{machine}, {CANDIDATES} candidates, budget {given.budget}, {given.studies} studies each"
    )
    kept = True
    print("noise | speed-ups covered | times covered | false winners | 5 % found | idle settings")
    for noise in NOISES:
        left_out = given.shared and noise.drift_per_hour
        if left_out or (given.noise and given.noise not in noise.name):
            continue
        tally = Tally()
        for seed in range(given.studies):
            # Each study has its gain at another place in the order of the candidates.
            gaining = names(CANDIDATES)[seed % CANDIDATES]
            for real in ({}, {gaining: 1 / GAIN}):
                factors = dict.fromkeys(names(CANDIDATES), 1.0) | real
                strategy = make_strategy(given.strategy)
                if given.shared:
                    played = play(strategy, factors, machine, noise, budget_s, seed)
                    tally.add_played(played, real)
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    study = run_study(
                        Path(folder), factors, machine, noise, budget_s, seed, strategy
                    )
                tally.add(study, machine, noise, real)
        cells = [_share(tally.speedups), _share(tally.times), _share(tally.false_winners)]
        idle = statistics.mean(tally.idle_settings)
        print(" | ".join([noise.name, *cells, _share(tally.found), f"{idle:.2f}"]), flush=True)
        kept &= not (
            _surely_below(tally.speedups, 0.93)
            or _surely_below(tally.times, 0.93)
            or _surely_below([not one for one in tally.false_winners], 0.95)
        )
    print("no claim is contradicted" if kept else "a claim is contradicted")
    return 0 if kept else 1


def _surely_below(successes: list[bool], share: float) -> bool:
    """Whether the successes contradict ``share``, by an exact one-sided test at 1 %."""
    return bool(binom.cdf(sum(successes), len(successes), share) < 0.01)


def _share(successes: list[bool]) -> str:
    """A share with its exact 95 % interval (C. Clopper and E. Pearson, Biometrika 26, 1934)."""
    count, total = sum(successes), len(successes)
    if not total:
        return "-"
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return f"{count / total:.1%} [{low:.1%}, {high:.1%}] of {total}"


if __name__ == "__main__":
    sys.exit(main())

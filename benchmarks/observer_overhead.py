"""Steady time of a trial under the observers of the timed pass over that of the same without.

Both trials stay alive and are passed through in turns that alternate, so that drift cancels:

    python benchmarks/observer_overhead.py --model gencast --rounds 20

Prints the median ratios of wall and of CPU seconds (1 is no overhead) with bootstrap intervals.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model, model_names
from perfkit.observers.observer import Observer, Place
from perfkit.observers.registry import OBSERVERS, make_observers, of_place
from perfkit.stats.bootstrap import paired_ratio
from perfkit.trial.launcher import TrialProcess
from perfkit.units import ratio_text

SOURCES: dict[str, dict[str, str | int | float | bool]] = {
    "af3": {},
    "gencast": {"resolution": 4.0, "mesh": 3},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=model_names(), default="gencast")
    parser.add_argument("--rounds", type=int, default=20, help="passes of each (default 20)")
    given = parser.parse_args()
    workload = get_model(given.model).workload(SOURCES[given.model], {})
    timed = of_place(make_observers(OBSERVERS), Place.TIMED)
    with tempfile.TemporaryDirectory() as folder:

        def started(observers: list[Observer]) -> TrialProcess:
            trial = TrialProcess(workload, STOCK, Path(folder), observers=observers)
            trial.start()
            if not trial.wait_ready():
                raise SystemExit(f"the trial ended early: {trial.finish().reason}")
            return trial

        # The bare trial is sampled as every trial is: for its memory limit and time line.
        trials = {"bare": started([]), "observed": started(timed)}
        wall_s: dict[str, list[float]] = {name: [] for name in trials}
        cpu_s: dict[str, list[float]] = {name: [] for name in trials}
        for number in range(given.rounds):
            order = list(trials) if number % 2 == 0 else list(reversed(trials))
            for name in order:
                stage = trials[name].steady_pass(number)
                if stage is None:
                    raise SystemExit(f"the trial ended early: {trials[name].finish().reason}")
                wall_s[name].append(stage.wall_s)
                cpu_s[name].append(stage.cpu_s)
            print(
                f"round {number}: "
                + ", ".join(f"{name} {wall_s[name][-1]:.3f} s" for name in trials),
                flush=True,
            )
        for trial in trials.values():
            trial.finish()
    for what, seconds in (("wall", wall_s), ("CPU", cpu_s)):
        ratio = paired_ratio(seconds["observed"], seconds["bare"])
        print(f"observed / bare, {what}: {ratio_text(ratio)}, {given.rounds} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

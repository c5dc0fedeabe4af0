"""Measure the overhead of the observers that watch the timed passes of a trial.

A trial with them and one without stay alive and run passes in alternating turns, so that drift
cancels:

    python -m benchmarks.scripts.observer_overhead --model gencast --rounds 20

Prints the median ratios of wall and of CPU seconds (1 means no overhead) with exact intervals.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model, model_names
from perfkit.observers.observer import Observer, Process
from perfkit.observers.registry import OBSERVERS, make_observers, of_process
from perfkit.stats.exact import paired_ratio
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.request import TrialRequest
from perfkit.units import ratio_text

SOURCES: dict[str, dict[str, str | int | float | bool]] = {
    "af3": {},
    "gencast": {"resolution": 4.0, "mesh": 3},
}


Seconds = dict[str, list[float]]


def measure(model: str, source: dict[str, str | int | float | bool], rounds: int) -> list[Seconds]:
    """Wall and CPU seconds of each pass of a ``bare`` and an ``observed`` trial, run in turns.

    Raises
    ------
    RuntimeError
        A trial ended early.
    """
    workload = get_model(model).workload(source, {})
    timed = of_process(make_observers(OBSERVERS), Process.TIMED)
    with tempfile.TemporaryDirectory() as folder:

        def started(observers: list[Observer]) -> TrialProcess:
            request = TrialRequest(workload, STOCK, Path(folder), observers=tuple(observers))
            trial = TrialProcess(request)
            trial.start()
            if not trial.wait_ready():
                raise RuntimeError(f"the trial ended early: {trial.finish().reason}")
            return trial

        # The bare trial is sampled too: every trial is, for its memory limit and time line.
        trials = {"bare": started([]), "observed": started(timed)}
        wall_s: Seconds = {name: [] for name in trials}
        cpu_s: Seconds = {name: [] for name in trials}
        for number in range(rounds):
            order = list(trials) if number % 2 == 0 else list(reversed(trials))
            for name in order:
                stage = trials[name].steady_pass(number)
                if stage is None:
                    raise RuntimeError(f"the trial ended early: {trials[name].finish().reason}")
                wall_s[name].append(stage.wall_s)
                cpu_s[name].append(stage.cpu_s)
            print(
                f"round {number}: "
                + ", ".join(f"{name} {wall_s[name][-1]:.3f} s" for name in trials),
                flush=True,
            )
        for trial in trials.values():
            trial.finish()
    return [wall_s, cpu_s]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=model_names(), default="gencast")
    parser.add_argument("--rounds", type=int, default=20, help="passes of each (default 20)")
    given = parser.parse_args()
    try:
        measured = measure(given.model, SOURCES[given.model], given.rounds)
    except RuntimeError as error:
        raise SystemExit(str(error)) from error
    for what, seconds in zip(("wall", "CPU"), measured, strict=True):
        ratio = paired_ratio(seconds["observed"], seconds["bare"])
        print(f"observed / bare, {what}: {ratio_text(ratio)}, {given.rounds} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

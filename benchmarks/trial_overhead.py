"""Steady time of a stock AlphaFold 3 trial over that of the same computation in a bare script.

Both processes stay alive and are passed through in turns, so that the machine's drift cancels:

    python benchmarks/trial_overhead.py --rounds 8

Prints the median ratio (1 is no overhead) with its bootstrap interval.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.stats.bootstrap import paired_ratio
from perfkit.trial.environment import child_environment
from perfkit.trial.launcher import TrialProcess
from perfkit.units import ratio_text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="passes of each (default 8)")
    rounds = parser.parse_args().rounds
    script = Path(__file__).with_name("bare_af3.py")
    bare = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(STOCK),
    )
    assert bare.stdin is not None
    assert bare.stdout is not None
    while bare.stdout.readline().strip() != "ready":
        if bare.poll() is not None:
            raise SystemExit("the bare script ended before its first pass")
    bare_s, trial_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        trial = TrialProcess(get_model("af3").workload({}, {}), STOCK, Path(folder))
        trial.start()
        if not trial.wait_ready():
            raise SystemExit(f"the trial ended early: {trial.finish().reason}")
        for number in range(rounds):
            bare.stdin.write("\n")
            bare.stdin.flush()
            bare_s.append(float(bare.stdout.readline()))
            stage = trial.steady_pass(number)
            if stage is None:
                raise SystemExit(f"the trial ended early: {trial.finish().reason}")
            trial_s.append(stage.wall_s)
            print(f"round {number}: bare {bare_s[-1]:.3f} s, trial {trial_s[-1]:.3f} s", flush=True)
        trial.finish()
    bare.stdin.close()
    bare.wait()
    print(f"trial / bare: {ratio_text(paired_ratio(trial_s, bare_s))}, {rounds} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

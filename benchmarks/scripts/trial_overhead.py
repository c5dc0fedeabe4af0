"""Compare the steady time of a stock AlphaFold 3 trial with that of a bare script.

Both processes stay alive and run passes in turns, so that the machine's drift cancels. Two
processes of the same program may keep different speeds, depending on their memory layout, so
several pairs are started one after the other:

    python -m benchmarks.scripts.trial_overhead --starts 4 --rounds 6

Prints the median ratio of each pair of processes, and that of all passes with its exact interval
(1 means no overhead).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.knobs.environment import child_environment
from perfkit.models import get_model
from perfkit.stats.exact import paired_ratio
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.request import TrialRequest
from perfkit.units import ratio_text


def measure(size: int | None, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each pass of the bare script and of the trial, taken in turns.

    Parameters
    ----------
    size
        Residues of a synthetic protein that fills its bucket; None for ubiquitin in its own.
    rounds
        Passes of each.

    Raises
    ------
    RuntimeError
        One of the two ended early.
    """
    script = Path(__file__).with_name("bare_af3.py")
    model = get_model("af3")
    workload = model.workload({} if size is None else {"size": size}, {})
    configuration = STOCK
    if size is not None:
        configuration = Catalogue(model.knobs).configuration({"bucket": str(size)})
    bare = subprocess.Popen(
        [sys.executable, str(script), *([] if size is None else [str(size)])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(configuration),
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            request = TrialRequest(workload, configuration, Path(folder))
            return _in_turns(bare, TrialProcess(request), rounds)
    finally:
        bare.kill()
        bare.wait()


def _in_turns(
    bare: subprocess.Popen[str], trial: TrialProcess, rounds: int
) -> tuple[list[float], list[float]]:
    assert bare.stdin is not None
    assert bare.stdout is not None
    while bare.stdout.readline().strip() != "ready":
        if bare.poll() is not None:
            raise RuntimeError("the bare script ended before its first pass")
    bare_s, trial_s = [], []
    trial.start()
    trial.wait_ready()
    for number in range(rounds):
        bare.stdin.write("\n")
        bare.stdin.flush()
        bare_s.append(float(bare.stdout.readline()))
        stage = trial.steady_pass(number)
        if stage is None:
            raise RuntimeError(f"the trial ended early: {trial.finish().reason}")
        trial_s.append(stage.wall_s)
        print(f"round {number}: bare {bare_s[-1]:.3f} s, trial {trial_s[-1]:.3f} s", flush=True)
    trial.finish()
    return bare_s, trial_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="passes of each (default 8)")
    parser.add_argument("--starts", type=int, default=1, help="pairs of processes (default 1)")
    parser.add_argument("--size", type=int, help="residues (default: ubiquitin in bucket 128)")
    given = parser.parse_args()
    bare_s, trial_s = [], []
    for start in range(given.starts):
        try:
            bare, trial = measure(given.size, given.rounds)
        except RuntimeError as error:
            raise SystemExit(str(error)) from error
        print(f"start {start}: trial / bare {ratio_text(paired_ratio(trial, bare))}", flush=True)
        bare_s += bare
        trial_s += trial
    print(f"trial / bare: {ratio_text(paired_ratio(trial_s, bare_s))}, {len(bare_s)} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

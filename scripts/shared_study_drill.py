"""Kill random workers of a shared study by the hundred, and count the records of its units.

::

    python -m scripts.shared_study_drill [--kills 100] [--units 600] [--workers 4]

Units sleep for 0.2 s. A worker is killed with SIGKILL, or suspended for longer than its lease
lasts, at random moments, and replaced. Each unit must end with exactly one record.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from perfkit.shared_study.study import SharedStudy
from tests.support.toy_worker import toy_command, toy_plan, toy_study

UNIT_S = 0.2
LEASE_S = 1.5
SUSPENDED_SHARE = 0.1
"""Share of the victims that are suspended instead of killed."""


def drill(folder: Path, kills: int, units: int, workers: int, seed: int) -> SharedStudy:
    """Run a study to its end while workers are killed.

    Parameters
    ----------
    folder
        Folder of the study.
    kills, units, workers
        Number of victims, of units, and of workers at the same time.
    seed
        Seed of the random moments and victims.
    """
    chance = random.Random(seed)
    study = toy_study(folder, toy_plan([UNIT_S] * units, lease_s=LEASE_S, most_lost=kills + 1))
    running = [_start(folder) for _ in range(workers)]
    suspended: list[tuple[float, subprocess.Popen[bytes]]] = []
    done = 0
    try:
        while study.open_units():
            time.sleep(chance.uniform(0.1, 1.0))
            place = chance.randrange(workers)
            if done < kills:
                victim = running[place]
                if chance.random() < SUSPENDED_SHARE:
                    victim.send_signal(signal.SIGSTOP)
                    suspended.append((time.monotonic() + 2 * LEASE_S, victim))
                else:
                    victim.kill()
                    victim.wait()
                done += 1
                running[place] = _start(folder)
            elif running[place].poll() is not None:
                running[place] = _start(folder)
            while suspended and suspended[0][0] < time.monotonic():
                suspended.pop(0)[1].send_signal(signal.SIGCONT)
        for _, victim in suspended:
            victim.send_signal(signal.SIGCONT)
        for worker in (*running, *(victim for _, victim in suspended)):
            worker.wait(timeout=60)
    finally:
        for worker in (*running, *(victim for _, victim in suspended)):
            worker.kill()
            worker.wait()
    print(f"{done} workers were killed or suspended")
    return study


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(toy_command(folder), stdout=subprocess.DEVNULL)


def main() -> int:
    """Run the drill and print the counts; 0 if each unit has exactly one record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--units", type=int, default=600)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = drill(folder, given.kills, given.units, given.workers, given.seed)
        names = Counter(record.id.rpartition("-")[0] for record in study.records())
        attempts = len((folder / "begun").read_text().splitlines())
    lost, repeated = given.units - len(names), sum(count > 1 for count in names.values())
    print(f"{given.units} units, {attempts} attempts: {lost} lost, {repeated} with several records")
    return 0 if lost == repeated == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())

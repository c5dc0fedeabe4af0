"""Disturb a sweep on a real Slurm at random, and count the records of its trials.

::

    python -m scripts.slurm_drill [--faults 25] [--seed 0] [--out reports/drill]

Starts a Slurm of its own with three nodes on this machine (as root; Debian: slurm-wlm and munge),
and ``perfkit sweep --on slurm`` on the small model of the tests. At random moments, a worker that
measures a trial is killed, suspended, cancelled, requeued or asked to end, its node is lost, the
controller is restarted, or the shared folder stops answering for a while. Each trial must end with
exactly one good record, next to that of its control, and the page must show it. The counts are
added to ``slurm.json`` in the folder of ``--out``, and ``README.md`` there is written anew. Drills
with other seeds add up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from perfkit.cluster.study_status import jobs_of
from perfkit.records.machine import fingerprint
from perfkit.shared_study.leases import Worker
from tests.support.local_slurm import Slurm, local_slurm
from tests.support.slurm_sweep import Perfkit, SlurmSweep, holders

LEASE_S = 4.0
"""Seconds without a sign of life after which a trial is taken from its worker."""

NODES = ("n1", "n2", "n3")
TRIALS_PER_FAULT = 2
LONGEST_CALM_S = 6.0
"""Most seconds between two faults."""


@dataclass(frozen=True)
class Drill:
    """The counts of one drill.

    Attributes
    ----------
    slurm, cpu, cpus
        Version of Slurm; name and number of the CPUs of the machine.
    date
        Day of the drill.
    seed
        Seed of the random moments, victims and faults.
    trials, attempts
        Number of trials, each with its control, and how often one was begun.
    faults
        Number of faults by kind.
    wrong
        Sentences on records that are missing, repeated, bad, or shown wrongly by the page.
    wall_s
        Duration in seconds.
    """

    slurm: str
    cpu: str
    cpus: int | None
    date: str
    seed: int
    trials: int
    attempts: int
    faults: dict[str, int]
    wrong: list[str]
    wall_s: float


class Disturber:
    """Makes faults.

    Parameters
    ----------
    slurm
        The Slurm.
    sweep
        The sweep.
    chance
        Random numbers.
    """

    def __init__(self, slurm: Slurm, sweep: SlurmSweep, chance: random.Random) -> None:
        self._slurm = slurm
        self._sweep = sweep
        self._chance = chance
        self._suspended: list[tuple[float, int]] = []
        self._lost: list[tuple[float, str]] = []
        self._stopped_until_s = 0.0
        self.counts: Counter[str] = Counter()

    def strike(self, workers: list[Worker]) -> None:
        """Make one fault, whose victim is one of the workers."""
        victim = self._chance.choice(workers)
        faults: list[tuple[str, int, Callable[[Worker], None]]] = [
            ("worker killed with SIGKILL", 8, self._kill),
            ("job cancelled", 4, self._cancel),
            ("job requeued", 4, self._requeue),
            ("worker asked to end before its time limit", 3, self._ask),
            ("worker suspended for two leases", 3, self._suspend),
            ("node lost", 1, self._lose_node),
            ("controller restarted", 1, self._restart),
            ("shared folder stopped for two leases", 1, self._stop_folder),
        ]
        (name, _, fault), *_ = self._chance.choices(faults, [weight for _, weight, _ in faults])
        # A job may have ended since the look at it.
        with suppress(AssertionError, ProcessLookupError):
            fault(victim)
            self.counts[name] += 1

    def recover(self, *, at_once: bool = False) -> None:
        """Continue suspended workers, restore lost nodes, and let the folder go on."""
        now_s = time.monotonic()
        for end_s, pid in list(self._suspended):
            if at_once or end_s <= now_s:
                self._suspended.remove((end_s, pid))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        for end_s, node in list(self._lost):
            if at_once or end_s <= now_s:
                self._lost.remove((end_s, node))
                self._slurm.restore_node(node)
        if self._stopped_until_s and (at_once or self._stopped_until_s <= now_s):
            self._stopped_until_s = 0.0
            self._sweep.let_folder_go_on()

    def _kill(self, victim: Worker) -> None:
        os.kill(victim.pid, signal.SIGKILL)

    def _cancel(self, victim: Worker) -> None:
        self._slurm.run("scancel", str(victim.job))

    def _requeue(self, victim: Worker) -> None:
        self._slurm.run("scontrol", "requeue", str(victim.job))

    def _ask(self, victim: Worker) -> None:
        self._slurm.run("scancel", "--signal=USR2", str(victim.job))

    def _suspend(self, victim: Worker) -> None:
        os.kill(victim.pid, signal.SIGSTOP)
        self._suspended.append((time.monotonic() + 2 * LEASE_S, victim.pid))

    def _lose_node(self, victim: Worker) -> None:
        node = str(victim.node)
        if node in [lost for _, lost in self._lost]:
            raise ProcessLookupError
        self._slurm.lose_node(node)
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        self._lost.append((time.monotonic() + 2 * LEASE_S, node))

    def _restart(self, victim: Worker) -> None:
        self._slurm.restart_controller()

    def _stop_folder(self, victim: Worker) -> None:
        self._sweep.stop_folder()
        self._stopped_until_s = time.monotonic() + 2 * LEASE_S


def drill(slurm: Slurm, folder: Path, faults: int, seed: int) -> Drill:
    """Run a sweep to its end while it is disturbed.

    Parameters
    ----------
    slurm
        A running Slurm.
    folder
        Folder of the sweep.
    faults
        Number of faults.
    seed
        Seed of the random moments, victims and faults.
    """
    chance, begin_s = random.Random(seed), time.monotonic()
    perfkit = Perfkit(slurm, folder)
    sweep = SlurmSweep(perfkit, TRIALS_PER_FAULT * faults, len(NODES))
    sweep.prepare(LEASE_S, most_lost=faults + 1)
    perfkit(f"{sweep.words} --no-follow")
    disturber = Disturber(slurm, sweep, chance)
    try:
        while sweep.study.open_units():
            time.sleep(chance.uniform(0.0, LONGEST_CALM_S))
            disturber.recover()
            workers = holders(sweep.study)
            if disturber.counts.total() < faults and workers:
                disturber.strike(workers)
            missing = len(NODES) - sum(not job.state.is_over for job in jobs_of(sweep.study))
            if missing > 0:
                # The controller may be down; the next turn tries again.
                sweep.submit_script(f"--array=1-{missing}")
    finally:
        disturber.recover(at_once=True)
    perfkit(sweep.words)
    wrong = [*sweep.faults(), *sweep.wrong_rows((sweep.folder / "report.html").read_text())]
    machine = fingerprint()
    return Drill(
        slurm=slurm.run("sbatch", "--version").split()[-1],
        cpu=machine.cpu or "unknown CPU",
        cpus=machine.logical_cpus,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seed=seed,
        trials=sweep.candidates,
        attempts=sweep.attempts,
        faults=dict(sorted(disturber.counts.items())),
        wrong=wrong,
        wall_s=round(time.monotonic() - begin_s, 1),
    )


def page(drills: list[Drill]) -> str:
    """The counts as a page."""
    kinds = sorted({kind for one in drills for kind in one.faults})
    faults = sum(sum(one.faults.values()) for one in drills)
    versions = ", ".join(sorted({one.slurm for one in drills}))
    machines = ", ".join(sorted({f"{one.cpu}, {one.cpus} CPUs" for one in drills}))
    lines = [
        "# Sweeps on Slurm under faults",
        "",
        f"`perfkit sweep --on slurm` of a small model, on a real Slurm ({versions}) with three "
        f"nodes on one machine ({machines}), disturbed {faults} times at random moments by "
        "`python -m scripts.slurm_drill`. Each trial must end with exactly one good record, next "
        "to that of its control on the same node, and the page must show the time and the speed-up "
        "of these records.",
        "",
        "| date | seed | trials | begun | faults | wrong | minutes |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {one.date} | {one.seed} | {one.trials} | {one.attempts} "
            f"| {sum(one.faults.values())} | {len(one.wrong)} | {one.wall_s / 60:.1f} |"
            for one in drills
        ),
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {kind} | {sum(one.faults.get(kind, 0) for one in drills)} |" for kind in kinds),
        "",
        *(f"Seed {one.seed}: {sentence}.  " for one in drills for sentence in one.wrong),
        "`slurm.json` holds the counts of each drill.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the drill, add its counts, and print them; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--faults", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports/drill"))
    given = parser.parse_args()
    # The daemons end with this process, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # munged refuses sockets below folders that others could replace.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        for part in ("slurm", "sweep"):
            (folder / part).mkdir()
        with local_slurm(folder / "slurm", NODES) as slurm:
            os.environ.update({key: slurm.environment[key] for key in ("SLURM_CONF", "PATH")})
            found = drill(slurm, folder / "sweep", given.faults, given.seed)
            slurm.run("scancel", "--me")
            slurm.wait_until_empty(60)
    given.out.mkdir(parents=True, exist_ok=True)
    counts = given.out / "slurm.json"
    known = [Drill(**one) for one in json.loads(counts.read_text())] if counts.exists() else []
    others = [one for one in known if one.seed != found.seed]
    known = sorted([*others, found], key=lambda one: one.seed)
    counts.write_text(json.dumps([asdict(one) for one in known], indent=1) + "\n")
    (given.out / "README.md").write_text(page(known))
    print(json.dumps(asdict(found)))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

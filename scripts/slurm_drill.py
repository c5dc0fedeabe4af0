"""Disturb a shared study on a real Slurm at random, and count the records of its units.

::

    python -m scripts.slurm_drill [--faults 25] [--seed 0] [--out reports/drill]

Starts a Slurm of its own with three nodes on this machine (as root; Debian: slurm-wlm and munge).
Units sleep for half a second. At random moments, a worker is killed, suspended, cancelled, requeued
or asked to end, a node is lost, the controller is restarted, or the shared folder stops for a
while. Each unit must end with exactly one record. The counts are added to ``slurm.json`` in the
folder of ``--out``, and ``README.md`` there is written anew.
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
from pathlib import Path

from perfkit.cluster.place import JobState, Options, Submission
from perfkit.cluster.slurm_place import SlurmPlace
from perfkit.cluster.study_status import jobs_of
from perfkit.shared_study.leases import Worker
from perfkit.shared_study.study import SharedStudy
from tests.support.local_slurm import Slurm, local_slurm
from tests.support.toy_worker import SLOW, toy_command, toy_plan, toy_study

UNIT_S = 0.5
LEASE_S = 3.0
NODES = ("n1", "n2", "n3")
UNITS_PER_FAULT = 8
SLOW_S = 6.0
"""Seconds for which the shared folder stops: two leases."""

OPTIONS = Options(exclusive=True, workers=len(NODES), time_s=3600.0)


@dataclass(frozen=True)
class Drill:
    """The counts of one drill.

    Attributes
    ----------
    slurm
        Version of Slurm.
    seed
        Seed of the random moments, victims and faults.
    units, attempts
        Number of units, and how often one was begun.
    faults
        Number of faults by kind.
    lost, repeated
        Number of units without a record, and with several.
    wall_s
        Duration in seconds.
    """

    slurm: str
    seed: int
    units: int
    attempts: int
    faults: dict[str, int]
    lost: int
    repeated: int
    wall_s: float


class Disturber:
    """Makes faults.

    Parameters
    ----------
    slurm
        The Slurm.
    study
        The study.
    chance
        Random numbers.
    """

    def __init__(self, slurm: Slurm, study: SharedStudy, chance: random.Random) -> None:
        self._slurm = slurm
        self._study = study
        self._chance = chance
        self._suspended: list[tuple[float, int]] = []
        self._lost: list[tuple[float, str]] = []
        self._slow_until_s = 0.0
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
            ("shared folder stopped for two leases", 1, self._slow),
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
        if self._slow_until_s and (at_once or self._slow_until_s <= now_s):
            self._slow_until_s = 0.0
            (self._study.folder / SLOW).unlink(missing_ok=True)

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

    def _slow(self, victim: Worker) -> None:
        (self._study.folder / SLOW).touch()
        self._slow_until_s = time.monotonic() + SLOW_S


def drill(slurm: Slurm, folder: Path, faults: int, seed: int) -> Drill:
    """Run a study to its end while it is disturbed.

    Parameters
    ----------
    slurm
        A running Slurm.
    folder
        Folder of the study.
    faults
        Number of faults.
    seed
        Seed of the random moments, victims and faults.
    """
    chance, begin_s = random.Random(seed), time.monotonic()
    plan = toy_plan([UNIT_S] * (UNITS_PER_FAULT * faults), lease_s=LEASE_S, most_lost=faults + 1)
    study = toy_study(folder, plan)
    disturber = Disturber(slurm, study, chance)
    try:
        while study.open_units():
            time.sleep(chance.uniform(0.1, 1.0))
            disturber.recover()
            workers = _at_work(study)
            if disturber.counts.total() < faults and workers:
                disturber.strike(workers)
            if len(_living(study)) < len(NODES):
                _submit(study)
    finally:
        disturber.recover(at_once=True)
    records = Counter(record.id.rpartition("-")[0] for record in study.records())
    return Drill(
        slurm=slurm.run("sbatch", "--version").split()[-1],
        seed=seed,
        units=len(plan.units),
        attempts=len((folder / "begun").read_text().splitlines()),
        faults=dict(sorted(disturber.counts.items())),
        lost=len(plan.units) - len(records),
        repeated=sum(count > 1 for count in records.values()),
        wall_s=round(time.monotonic() - begin_s, 1),
    )


def _living(study: SharedStudy) -> set[str]:
    return {job.id for job in jobs_of(study) if not job.state.is_over}


def _at_work(study: SharedStudy) -> list[Worker]:
    running = {job.id for job in jobs_of(study) if job.state is JobState.RUNNING}
    workers = {worker.job: worker for worker, end in study.notes.workers() if end is None}
    return [worker for job, worker in workers.items() if job in running]


def _submit(study: SharedStudy) -> None:
    logs = study.sharing / "logs"
    logs.mkdir(exist_ok=True)
    missing = len(NODES) - len(_living(study))
    with suppress(Exception):
        # The controller may be down; the next turn tries again.
        jobs = SlurmPlace().submit(Submission(toy_command(study.folder), missing, logs, OPTIONS))
        study.notes.note_jobs("slurm", jobs)


def page(drills: list[Drill]) -> str:
    """The counts as a page."""
    kinds = sorted({kind for one in drills for kind in one.faults})
    faults = sum(sum(one.faults.values()) for one in drills)
    versions = ", ".join(sorted({one.slurm for one in drills}))
    lines = [
        "# Shared studies under faults",
        "",
        f"A study of short units on a real Slurm ({versions}) with three nodes on one machine, "
        f"disturbed {faults} times at random moments by `python -m scripts.slurm_drill`. Each unit "
        "must end with exactly one record.",
        "",
        "| seed | units | attempts | faults | lost | with several records | minutes |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {one.seed} | {one.units} | {one.attempts} | {sum(one.faults.values())} "
            f"| {one.lost} | {one.repeated} | {one.wall_s / 60:.1f} |"
            for one in drills
        ),
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {kind} | {sum(one.faults.get(kind, 0) for one in drills)} |" for kind in kinds),
        "",
        "`slurm.json` holds the counts of each drill.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the drill, add its counts, and print them; 0 if each unit has exactly one record."""
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
        for part in ("slurm", "study"):
            (folder / part).mkdir()
        with local_slurm(folder / "slurm", NODES) as slurm:
            os.environ.update({key: slurm.environment[key] for key in ("SLURM_CONF", "PATH")})
            found = drill(slurm, folder / "study", given.faults, given.seed)
            slurm.run("scancel", "--me")
            slurm.wait_until_empty(60)
    given.out.mkdir(parents=True, exist_ok=True)
    counts = given.out / "slurm.json"
    known = [Drill(**one) for one in json.loads(counts.read_text())] if counts.exists() else []
    known = [one for one in known if one.seed != found.seed] + [found]
    counts.write_text(json.dumps([asdict(one) for one in known], indent=1) + "\n")
    (given.out / "README.md").write_text(page(known))
    print(json.dumps(asdict(found)))
    return 0 if found.lost == found.repeated == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())

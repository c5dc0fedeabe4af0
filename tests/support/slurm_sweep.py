"""A sweep of real trials on a Slurm of the test's own: its commands, workers, and records."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from perfkit.cluster.place import JobState
from perfkit.cluster.study_status import jobs_of
from perfkit.files import write_whole
from perfkit.records.journal import abandoned_records
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_folder
from perfkit.shared_study.leases import Worker
from perfkit.shared_study.plan import PLAN_NAME, read_plan
from perfkit.shared_study.study import SharedStudy
from perfkit.trial.conditions.jaxlib_standing import CHECK_VARIABLE
from tests.support import stopped_folder
from tests.support.local_slurm import Slurm
from tests.support.plugin import install

EDGE = 16
"""Nodes along the edge of the plate. What takes time is to start the processes of a trial."""


class Perfkit:
    """Commands of perfkit in a folder, with a small model installed.

    Parameters
    ----------
    slurm
        The Slurm that the commands find.
    folder
        Current folder of the commands.

    Attributes
    ----------
    environment
        Variables of the commands, and of the workers that they start.
    """

    def __init__(self, slurm: Slurm, folder: Path) -> None:
        self.folder = folder
        packages = folder / "packages"
        packages.mkdir()
        self.environment = {
            **slurm.environment,
            **{"PYTHONPATH": str(install(packages)), CHECK_VARIABLE: "off", "COLUMNS": "200"},
            **stopped_folder.install(packages, folder / "out"),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, words: str) -> str:
        """What perfkit prints; it must succeed."""
        done = self.run(sys.executable, "-m", "perfkit", *words.split())
        logs = [path.read_bytes()[-2000:] for path in self.folder.rglob("sharing/logs/*")]
        assert done.returncode == 0, (done.stdout, done.stderr, logs)
        return done.stdout


@dataclass(frozen=True)
class SlurmSweep:
    """A sweep of plates that are padded to different numbers of nodes, each in turns with stock.

    Attributes
    ----------
    perfkit
        Runs the commands.
    candidates
        Number of paddings in addition to none.
    workers
        Number of workers at the same time, each on a node of its own.
    """

    perfkit: Perfkit
    candidates: int
    workers: int

    @property
    def folder(self) -> Path:
        """Folder of the study."""
        return self.perfkit.folder / "out"

    @property
    def paddings(self) -> range:
        """The paddings."""
        return range(EDGE + 1, EDGE + 1 + self.candidates)

    @property
    def words(self) -> str:
        """The command."""
        values = ",".join(map(str, self.paddings))
        return (
            f"sweep --model heat --edge {EDGE} --steps 1 --rounds 2 --knob padded=exact,{values} "
            f"--out out --on slurm --exclusive --array-limit {self.workers} --time 20m"
        )

    @cached_property
    def study(self) -> SharedStudy:
        """The study, once it has been prepared."""
        return SharedStudy(self.folder)

    def prepare(self, lease_s: float, most_lost: int) -> None:
        """Write the plan and the scripts, with a shorter lease than clusters have.

        Parameters
        ----------
        lease_s, most_lost
            As in the plan of a study.
        """
        self.perfkit(f"{self.words} --script")
        plan = read_plan(self.folder)
        assert len(plan.units) == self.candidates
        plan = plan.model_copy(update={"lease_s": lease_s, "most_lost": most_lost})
        write_whole(self.folder / PLAN_NAME, plan.model_dump_json(), "plan")

    def submit_script(self, *options: str) -> bool:
        """Start further workers by the script that ``--script`` wrote; whether Slurm took them.

        Parameters
        ----------
        *options
            Options of ``sbatch``.
        """
        script = str(self.study.sharing / "submit.sh")
        return self.perfkit.run("sh", script, *options).returncode == 0

    def stop_folder(self) -> None:
        """Let every access of workers and trials to the folder of the study wait."""
        stopped_folder.stop(self.folder)

    def let_folder_go_on(self) -> None:
        """End what :meth:`stop_folder` began."""
        stopped_folder.go_on(self.folder)

    @property
    def attempts(self) -> int:
        """How often a trial with its control was begun."""
        numbers = self.study.listing().numbers
        return sum(numbers[unit.key][-1] for unit in self.study.plan.units if unit.key in numbers)

    def records(self) -> list[Record]:
        """All records of the store, with those that killed trials may have left."""
        left = abandoned_records(self.folder, known=())
        return [*read_folder(self.folder).records, *left]

    def faults(self) -> list[str]:
        """What is wrong with the records: each padding has one good one, next to its control."""
        records = self.records()
        trials = Counter(one.configuration.label for one in records if one.role is Role.SWEEP)
        expected = Counter(f"padded={nodes}" for nodes in self.paddings)
        found = [f"{label} has no record" for label in expected - trials]
        found += [f"{label} has {trials[label]} records" for label in trials - expected]
        for one in records:
            if one.outcome is not Outcome.OK:
                found.append(f"{one.configuration.label}: {one.outcome}, {one.reason}")
        for block in {one.block for one in records if one.role is Role.SWEEP}:
            own = [one for one in records if one.block == block]
            if sorted(one.role for one in own) != [Role.BASE, Role.SWEEP]:
                found.append(f"the block {block} is not a trial with its control")
            if len({one.machine.node for one in own}) != 1:
                found.append(f"the block {block} ran on several nodes")
        return found

    def wrong_rows(self, page: str) -> list[str]:
        """What is wrong with the table of a page, by the records.

        The time of a trial is the median of its passes. Its speed-up is the median over the rounds
        of the ratio of its control to it.
        """
        rows = _rows(page)
        records = {one.configuration.label: one for one in self.records() if one.role is Role.SWEEP}
        wrong = [f"{label} is not in the page" for label in records if label not in rows]
        for label, record in records.items():
            _, time, *_, speedup, outcome = rows.get(label, [""] * 4)
            control = next(
                one for one in self.records() if one.block == record.block and one.role is Role.BASE
            )
            by_round = {stage.round: stage.wall_s for stage in control.steady}
            ratios = [
                by_round[stage.round] / stage.wall_s
                for stage in record.steady
                if stage.round in by_round
            ]
            median_s = statistics.median(stage.wall_s for stage in record.steady)
            if not _is_near(time, median_s) or not outcome.startswith("ok"):
                wrong.append(f"{label}: {time}, {outcome}; the record says {median_s} s")
            # The median of two ratios on a logarithmic scale lies between them.
            shown = re.match(r"[\d.]+", speedup)
            if shown and not min(ratios) - 0.01 <= float(shown[0]) <= max(ratios) + 0.01:
                wrong.append(f"{label}: {speedup}; the records say {ratios}")
        return wrong


def at_work(study: SharedStudy) -> list[Worker]:
    """Workers that run, by their notes and by Slurm. A requeued job may have several."""
    running = {job.id for job in jobs_of(study) if job.state is JobState.RUNNING}
    workers = {worker.job: worker for worker, end in study.notes.workers() if end is None}
    return [worker for job, worker in workers.items() if job in running]


def holders(study: SharedStudy) -> list[Worker]:
    """Workers at work that are measuring a trial."""
    listing = study.listing()
    newest = (
        study.leases.read(unit.key, listing.numbers[unit.key][-1])
        for unit in study.open_units(listing)
        if unit.key in listing.numbers
    )
    names = {
        lease.worker.name for lease in newest if lease.worker is not None and lease.released is None
    }
    return [worker for worker in at_work(study) if worker.name in names]


def wait_for_holders(study: SharedStudy, count: int) -> list[Worker]:
    """Wait until so many workers measure a trial, and return them."""
    found: list[Worker] = []

    def are_there() -> bool:
        found[:] = holders(study)
        return len(found) >= count

    wait_until(are_there)
    return found


def wait_until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Wait until a condition holds, which it has to within a time limit."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def _rows(page: str) -> dict[str, Sequence[str]]:
    """The cells of the table of configurations by label; a label that is there twice is lost."""
    rows: dict[str, list[str]] = {}
    # The best configurations have a table of their own in addition.
    table = page.partition('aria-label="All configurations"')[2].partition("</table>")[0]
    for line in re.findall(r'<tr class="\w+">(.*?)</tr>', table, re.DOTALL):
        cells = re.findall(r"<td[^>]*>(?:<span[^>]*>.*?</span>)?(.*?)</td>", line, re.DOTALL)
        rows[cells[0].strip()] = [] if cells[0].strip() in rows else cells
    return {label: cells for label, cells in rows.items() if cells}


def _is_near(text: str, seconds: float) -> bool:
    """Whether a time of three digits in a table is a number of seconds."""
    found = re.match(r"([\d.]+) (µs|ms|s)\b", text)
    unit_s = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
    return found is not None and abs(float(found[1]) * unit_s[found[2]] / seconds - 1) < 0.01

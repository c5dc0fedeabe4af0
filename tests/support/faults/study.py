"""A small study of a real model that is killed at random moments, and what must hold afterwards.

The study is ``perfkit sweep`` on the model of :mod:`tests.support.plugin`, in processes of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.records.journal import abandoned_records
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Reading, read_folder
from perfkit.trial.conditions.jaxlib_standing import CHECK_VARIABLE
from tests.support.faults.survivors import MARK, new_mark, survivors
from tests.support.plugin import install

CELLS = ("exact", "20")
"""Values of the knob that is swept, the default first."""

ROUNDS = 2

KEPT_LINE = re.compile(r"^  (?:reference|base|sweep) .*: ok\b", re.MULTILINE)
"""What perfkit prints once the record of a good trial is stored."""

LONGEST_S = 120.0
"""Seconds within which a study that nobody kills ends on a busy machine."""


type Inject = Callable[[subprocess.Popen[str], str], None]
"""Injects a fault into a running study, given perfkit's process and the mark of its descendants."""


@dataclass(frozen=True)
class Run:
    """A run of perfkit that has ended, or was ended.

    Attributes
    ----------
    code
        Return code, negative for a signal.
    seconds
        Wall seconds.
    output, errors
        What it printed.
    survivors
        Its descendants that did not end with it.
    """

    code: int
    seconds: float
    output: str
    errors: str
    survivors: Sequence[int]


@dataclass
class KilledStudy:
    """A study that is run again after each kill.

    Attributes
    ----------
    folder
        Folder of the study; the store is in it.
    edge
        Size of the input. Studies of different sizes are different studies.
    cells
        Values of the knob that is swept.
    variables
        Further variables of the environment.
    prefix
        Words before the command, such as a shell that sets limits.
    finished
        Good records that the store has held so far, by id.
    faults
        What did not hold, in sentences.
    """

    folder: Path
    edge: int = 16
    cells: Sequence[str] = CELLS
    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    finished: dict[str, Record] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """Folder of the store."""
        return self.folder / "store"

    def command(self) -> list[str]:
        """The command line."""
        return [
            *self.prefix,
            *(sys.executable, "-m", "perfkit", "sweep", "--model", "heat"),
            *("--edge", str(self.edge), "--steps", "1", "--rounds", str(ROUNDS)),
            *("--knob", f"padded={','.join(self.cells)}", "--out", str(self.store)),
        ]

    def start(self, mark: str) -> subprocess.Popen[str]:
        """Start perfkit in a process that is marked."""
        packages = self.folder / "packages"
        if not packages.exists():
            packages.mkdir(parents=True)
            install(packages)
        environment = {
            **os.environ,
            **{"PYTHONPATH": str(packages), "PYTHONUNBUFFERED": "1", "COLUMNS": "300"},
            **{MARK: mark, CHECK_VARIABLE: "off"},
            **self.variables,
        }
        return subprocess.Popen(
            self.command(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=self.folder,
        )

    def killed(self, after_s: float, number: int = signal.SIGKILL) -> Run:
        """Run perfkit, and send it a signal after some seconds unless it has ended."""
        return self.run(after_s, lambda process, mark: process.send_signal(number))

    def run(self, after_s: float | None = None, inject: Inject | None = None) -> Run:
        """Run perfkit, inject a fault after a while unless it has ended, and check the store.

        Parameters
        ----------
        after_s
            Seconds until the fault; None for no fault.
        inject
            Injects the fault, given perfkit's process and the mark of its descendants.
        """
        mark, begin_s = new_mark(), time.monotonic()
        process = self.start(mark)
        try:
            output, errors = process.communicate(timeout=after_s or LONGEST_S)
        except subprocess.TimeoutExpired:
            if inject is not None:
                inject(process, mark)
            output, errors = process.communicate(timeout=LONGEST_S)
        finally:
            process.kill()
            process.wait()
        seconds = time.monotonic() - begin_s
        run = Run(process.returncode, seconds, output, errors, survivors(mark))
        self._check(run, process.pid)
        return run

    def complete(self) -> Run:
        """Run perfkit to its end, and check that nothing is missing or left over."""
        run = self.run()
        if run.code != 0:
            self.faults.append(f"the resumed study ended with {run.code}: {run.errors[-500:]}")
        good = [record for record in self.finished.values() if len(record.steady) >= ROUNDS]
        labels = {record.configuration.settings.get("padded", "exact") for record in good}
        if labels != set(self.cells):
            self.faults.append(f"after the resumption there are {sorted(labels)} of {self.cells}")
        # A journal that was begun on a full disk may be empty; it stays.
        if list(abandoned_records(self.store, known=())):
            self.faults.append("records of killed trials are left in journals")
        return run

    def _check(self, run: Run, pid: int) -> None:
        """What must hold after any end of perfkit."""
        if run.survivors:
            self.faults.append(f"processes survived: {run.survivors}")
        if not self.store.exists():
            # Until perfkit is imported, Python itself reports an interrupt by a traceback.
            return
        if "Traceback" in run.errors:
            self.faults.append(f"a traceback: {run.errors[-500:]}")
        reading = read_folder(self.store)
        good = {one.id: one for one in reading.records if one.outcome is Outcome.OK}
        for identifier, record in self.finished.items():
            if good.get(identifier) != record:
                self.faults.append(f"the record of the finished trial {identifier} is lost")
        self.finished |= good
        self.faults += _unsound(reading)
        own = {
            line
            for path in self.store.glob(f"records-*-{pid}.jsonl")
            for line in path.read_text().splitlines()
            if '"outcome":"ok"' in line
        }
        if len(KEPT_LINE.findall(run.output)) > len(own):
            self.faults.append("a trial was reported as finished and is not in the store")


def _unsound(reading: Reading) -> list[str]:
    """What is wrong with the contents of a store."""
    identifiers = [record.id for record in reading.records]
    faults = []
    if len(set(identifiers)) < len(identifiers):
        faults.append("a trial is in the store twice")
    for record in reading.records:
        if record.outcome is Outcome.OK and record.role == "sweep":
            passes = len(record.steady) + len(record.disturbed_passes)
            if passes < ROUNDS or record.finite is None:
                faults.append(f"half of a record counts as a whole one: {record.id}")
    return faults

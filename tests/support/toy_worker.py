"""A worker of a shared study whose units sleep, for :func:`toy_command`.

Units are labelled ``NAME SECONDS``. Each attempt appends a line to ``begun`` in the folder, so that
tests count how often a unit was begun.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from perfkit.files import short_digest
from perfkit.records.schema import Record
from perfkit.shared_study.plan import SharedPlan, Unit, write_plan
from perfkit.shared_study.study import Listing, SharedStudy
from perfkit.shared_study.worker import IsHeld, end_on_time_limit, this_worker, work
from perfkit.trial.interrupts import install_interrupt_handlers
from tests.support.records_factory import make_record

ROOT = Path(__file__).parents[2]

GREEDY = "greedy"
"""File in the folder of the study with the process ID of a worker that then takes much memory."""

GREEDY_BYTES = 800 * 2**20
STEP_S = 0.1
"""Seconds between two looks at the file."""


def toy_command(folder: Path) -> tuple[str, ...]:
    """Command of a worker, which runs in any current folder."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    code += "from tests.support.toy_worker import main; main(sys.argv[1])"
    return (sys.executable, "-c", code, str(folder))


class ToyExecutor:
    """Runs units that sleep.

    Attributes
    ----------
    study
        The study.
    """

    def __init__(self, study: SharedStudy) -> None:
        self.study = study

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        """The open units of the plan."""
        return self.study.open_units(listing)

    def prerequisite(self, unit: Unit) -> Unit | None:
        """None."""
        return None

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Sleep, and return one record with the name of the unit."""
        name, seconds = unit.label.split()
        descriptor = os.open(self.study.folder / "begun", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{name} {os.getpid()}\n".encode())
        os.close(descriptor)
        self._sleep(float(seconds))
        return [toy_record(f"{name}-{os.getpid()}", self.study)]

    def _sleep(self, seconds: float) -> None:
        end_s, taken = time.monotonic() + seconds, b""
        while (left_s := end_s - time.monotonic()) > 0:
            greedy = self.study.folder / GREEDY
            if not taken and greedy.exists() and greedy.read_text() == str(os.getpid()):
                taken = b"x" * GREEDY_BYTES
            time.sleep(min(STEP_S, left_s))


def toy_plan(
    seconds: Sequence[float], *, lease_s: float = 1.0, most_lost: int = 1000
) -> SharedPlan:
    """A plan with one unit per duration in seconds."""
    labels = [f"unit-{number} {each}" for number, each in enumerate(seconds)]
    return SharedPlan(
        kind="toy",
        arguments={},
        folder="/",
        units=tuple(Unit(key=short_digest(label), label=label) for label in labels),
        lease_s=lease_s,
        most_lost=most_lost,
    )


def toy_study(folder: Path, plan: SharedPlan) -> SharedStudy:
    """Write a plan and open the study."""
    write_plan(folder, plan)
    return SharedStudy(folder)


def toy_record(identifier: str, study: SharedStudy) -> Record:
    """A record of a study."""
    return make_record(identifier=identifier).model_copy(update={"study": study.plan.study})


def main(folder: str) -> None:
    """Work on a study in a process of its own."""
    install_interrupt_handlers()
    end_on_time_limit()
    shared = SharedStudy(Path(folder))
    print(work(shared, ToyExecutor(shared), this_worker(), print), flush=True)

"""Blocks: configurations in fresh processes, passed in turns, as often as a comparison needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.trial.request import TrialFiles
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.session import Fits, Session, Start

COMPILED_FOLDER = "compiled"
"""Folder in a store with the compilation caches of its studies or configurations."""


@dataclass(frozen=True)
class BlocksPlan:
    """Configurations to measure against each other.

    Attributes
    ----------
    workload
        The workload.
    configurations
        The configurations.
    store
        Store of the records.
    study
        Digest or name of the study that the records belong to.
    blocks
        Number of blocks. In each one, every configuration runs in a process of its own.
    passes
        Number of passes of each process.
    reference
        File of the compared quantities that every answer is compared with, or None.
    """

    workload: Workload
    configurations: tuple[Configuration, ...]
    store: Store
    study: str
    blocks: int
    passes: int
    reference: Path | None = None


def measure_blocks(
    plan: BlocksPlan,
    runner: Runner,
    progress: Progress,
    *,
    fits: Fits = lambda starts, living: True,
    goes_on: Callable[[], bool] = lambda: True,
) -> list[Record]:
    """Measure the blocks of a plan.

    Every other block runs in the opposite order, so that a machine that becomes steadily slower
    favours no configuration.

    Parameters
    ----------
    plan
        What is measured.
    runner
        Makes the trials.
    progress
        Receives the events.
    fits
        Whether memory holds the given trials side by side.
    goes_on
        Asked before each block; False ends the measuring.

    Returns
    -------
    list of Record
        The records of these blocks.
    """
    kept: list[Record] = []

    def keep(record: Record) -> None:
        plan.store.append(record)
        kept.append(record)

    for number in range(plan.blocks):
        if not goes_on():
            break
        members = plan.configurations[:: 1 if number % 2 == 0 else -1]
        starts = [_start(plan, configuration) for configuration in members]
        with Session(runner, progress, plan.study, keep, fits) as session:
            session.open_all(starts)
            # Where memory does not hold all of them, each pass costs a start, and one is enough.
            session.rounds(members, plan.passes if fits(starts, ()) else 1)
    return kept


def _start(plan: BlocksPlan, configuration: Configuration) -> Start:
    files = TrialFiles(
        reference=plan.reference,
        compile_cache=plan.store.folder / COMPILED_FOLDER / configuration.digest,
    )
    return Start(plan.workload, configuration, Role.CONFIRM, files)

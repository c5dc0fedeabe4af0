"""Why a trial is run and which files it reads and leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfkit.builds import source_digest
from perfkit.files import Plain, short_digest
from perfkit.models.base import Workload
from perfkit.records.machine import answers_digest

REFERENCE_GENERATION = 3
"""Raised with each change of what models compare or of how it is stored."""


@dataclass(frozen=True)
class TrialLabels:
    """Why a trial is run, for the record.

    Parameters
    ----------
    study
        The study's digest.
    role
        What the trial is for in its study.
    block
        Trials of one block are interleaved.
    shared_start
        Whether another trial is started at the same time, which shares the CPUs with this one
        until both have passed once.
    """

    study: str | None = None
    role: str = "single"
    block: str | None = None
    shared_start: bool = False


@dataclass(frozen=True)
class TrialFiles:
    """Files that a trial reads and leaves.

    Parameters
    ----------
    reference
        Compared quantities to hold the trial's against.
    save_compared
        Where to leave the trial's own.
    output_folder
        Where to write the prediction.
    compile_cache
        JAX's persistent compilation cache.
    """

    reference: Path | None = None
    save_compared: Path | None = None
    output_folder: Path | None = None
    compile_cache: Path | None = None


def reference_file(folder: Path, workload: Workload) -> Path:
    """Where a store keeps the compared quantities of the reference configuration.

    The name follows everything that the answer does: the workload, which names its weights; the
    installed packages and the models' own code; and the CPU. A store that two machines share, or
    that outlives an upgrade, holds a file for each.
    """
    same: list[Plain] = [
        REFERENCE_GENERATION,
        workload.digest,
        answers_digest(),
        source_digest("perfkit.models"),
    ]
    return folder / f"reference-{short_digest(same)}.answers"

"""Why a trial is run and which files it reads and leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfkit.models.base import Workload

REFERENCE_GENERATION = 2
"""Raised with each change of what models compare: older files lack quantities."""


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
    """Where a store keeps the compared quantities of the reference configuration."""
    return folder / f"reference-{REFERENCE_GENERATION}-{workload.digest}.npz"

"""Measures the noise of this machine: how much identical programs differ in time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from perfkit.tuning.choice.noise import Noise, NoisePlan, measure_noise, noise_of
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.progress import Progress, SilentProgress

PAIRS = 6
"""Pairs of processes that are measured unless another number is given."""

PASSES = 6
"""Timed passes of each process."""


@dataclass(frozen=True)
class NoiseMeasurement:
    """The noise of a machine and what it was measured with.

    Attributes
    ----------
    noise
        The noise.
    workload
        The workload of the identical programs.
    took_s
        Seconds that the measurement took.
    """

    noise: Noise
    workload: Workload
    took_s: float


def smallest_workload(model: Model) -> Workload:
    """Return the smallest workload of a model, at its lowest fidelity."""
    return model.workload(model.small_options, {})


def measure_machine_noise(
    model: Model,
    *,
    pairs: int = PAIRS,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> NoiseMeasurement:
    """Measure identical programs against each other, in turns and in fresh processes.

    Parameters
    ----------
    model
        The model whose smallest workload is run.
    pairs
        Number of pairs of processes, at least 2.
    folder
        Folder for the records; None keeps none.
    progress
        Receives the events of the measurement; None for nothing.

    Raises
    ------
    UserError
        ``pairs`` is too small, or the workload does not run.
    """
    if pairs < 2:
        raise UserError(f"the noise needs 2 or more pairs of processes, not {pairs}")
    workload = smallest_workload(model)
    begin_s = time.monotonic()
    with TemporaryDirectory(prefix="perfkit-noise-") as scratch:
        records = _measure(model, workload, pairs, folder or Path(scratch), progress)
    noise = noise_of(records)
    if noise is None:
        reason = next((f" ({record.reason})" for record in records if record.reason), "")
        raise UserError(f"{workload.name} did not run often enough to show any noise{reason}")
    return NoiseMeasurement(noise, workload, time.monotonic() - begin_s)


def _measure(
    model: Model, workload: Workload, pairs: int, folder: Path, progress: Progress | None
) -> list[Record]:
    progress = progress or SilentProgress()
    plan = NoisePlan(Catalogue(model.knobs), workload, Store(folder), pairs, PASSES)
    return measure_noise(plan, LiveRunner(folder, Limits(), progress.stage), progress)

"""The runner that runs: trials in processes of their own on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from perfkit.knobs.configuration import Configuration
from perfkit.models.base import Workload
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialFiles, TrialLabels


class LiveRunner:
    """Makes trials that are measured here and now.

    Parameters
    ----------
    folder
        The store's folder.
    limits
        Of each trial.
    on_stage
        Called with the name of each stage that a trial enters.
    """

    def __init__(self, folder: Path, limits: Limits, on_stage: Callable[[str], None]) -> None:
        self._folder = folder
        self._limits = limits
        self._on_stage = on_stage

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> TrialProcess:
        """A trial that has not been started."""
        trial = TrialProcess(workload, configuration, self._folder, self._limits, labels, files)
        trial.on_stage = self._on_stage
        return trial

    def now_s(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

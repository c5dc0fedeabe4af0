"""The live runner: trials in processes on this machine, of their own or shared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.observers.registry import make_observers
from perfkit.records.interpreter import Interpreter
from perfkit.records.machine import available_memory_bytes
from perfkit.trial.child import ChildProcess, StartChild
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY, Limits
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest
from perfkit.trial.shared_child import SharedChildren


class LiveRunner:
    """Makes trials that run on this machine.

    Parameters
    ----------
    folder
        Folder of the store.
    limits
        Limits of each trial.
    on_stage
        Called with the name of each stage when a trial enters it.
    observers
        Names of the observers of each trial.
    interpreters
        The Python by version of jaxlib, for configurations that set one.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        on_stage: Callable[[str], None],
        observers: Sequence[str] = (),
        interpreters: Mapping[str, Interpreter] | None = None,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._on_stage = on_stage
        self._observers = tuple(observers)
        self._interpreters = interpreters or {}
        self._shared = SharedChildren()

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> ObservedTrial:
        """A trial that has not been started."""
        version = configuration.jaxlib
        request = TrialRequest(
            workload,
            configuration,
            self._folder,
            self._limits,
            labels,
            files,
            observers=tuple(make_observers(self._observers)),
            interpreter=None if version is None else self._interpreters[version],
        )
        start_child: StartChild = ChildProcess
        if labels.shared_process:
            start_child = self._shared.start
        trial = ObservedTrial(request, start_child=start_child)
        trial.on_stage = self._on_stage
        return trial

    def end_shared(self) -> None:
        """End the processes that trials share."""
        self._shared.close()

    def available_bytes(self) -> float:
        """Free memory within every limit on this process, without a reserve for the machine."""
        return available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY

    def now_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

"""Samples of a process at every clock tick, during a pass that is not timed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from perfkit.observers.cpu import thread_states
from perfkit.observers.process_tree import TICKS_PER_S

INTERVAL_S = 0.01
"""The clock tick of the kernel, which is the resolution of CPU times."""


@dataclass(frozen=True)
class PassSample:
    """State of a process; counts are since its start.

    Attributes
    ----------
    time_s
        Time on the monotonic clock.
    running
        Number of threads that run or are ready to run.
    user_s, system_s
        CPU seconds in user mode and in the kernel.
    faults
        Page faults.
    """

    time_s: float
    running: int
    user_s: float
    system_s: float
    faults: int


class PassSampler:
    """Samples one process from a thread between :meth:`start` and :meth:`stop`.

    Parameters
    ----------
    pid
        Process id.
    """

    def __init__(self, pid: int) -> None:
        self.samples: list[PassSample] = []
        self._pid = pid
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pass-sampler", daemon=True)

    def start(self) -> None:
        """Start the sampling thread."""
        self._thread.start()

    def stop(self) -> list[PassSample]:
        """Stop the sampling thread and return the samples."""
        self._stopped.set()
        self._thread.join()
        return self.samples

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                text = Path(f"/proc/{self._pid}/stat").read_text()
            except OSError:
                return
            fields = text.rpartition(")")[2].split()
            running = sum(state == "R" for _, state, _ in thread_states([self._pid]))
            self.samples.append(
                PassSample(
                    time_s=time.monotonic(),
                    running=running,
                    user_s=int(fields[11]) / TICKS_PER_S,
                    system_s=int(fields[12]) / TICKS_PER_S,
                    faults=int(fields[7]) + int(fields[9]),
                )
            )

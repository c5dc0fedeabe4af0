"""Whether a child hangs: it should work, and uses practically no CPU time for a long time."""

from __future__ import annotations

from perfkit.observers.process_tree import TreeSample

HANG_S = 1800.0
"""Seconds without CPU time after which a child hangs. A file server that is that slow, or another
process that holds a lock for that long, has to be mended first."""

IDLE_CPUS = 0.001
"""CPUs in use up to which a program does nothing: threads that only wake up use less. A program
that reads a file at 10 MB/s uses several times as much."""

SLACK_S = 0.05
"""CPU seconds that are forgiven in any window: the clock of CPU time ticks every 0.01 s."""

LONGEST_STEP_S = 1.0
"""Longest time between two samples that counts. A longer one shows that this process was held up,
and then the child probably was too."""


class HangWatch:
    """Adds up the time in which a child that should work does not.

    Parameters
    ----------
    hang_s
        Seconds without CPU time after which the child hangs.
    """

    def __init__(self, hang_s: float = HANG_S) -> None:
        self.hang_s = hang_s
        self._expected = False
        self._last: TreeSample | None = None
        self._idle_s = self._used_s = 0.0

    def expect_work(self, *, expected: bool) -> None:
        """Begin or end a time in which the child has something to do."""
        self._expected = expected
        self._restart()

    def sampled(self, sample: TreeSample) -> bool:
        """Take in a sample of the child's process tree; True if the child hangs."""
        last, self._last = self._last, sample
        if last is None or not self._expected or sample.stopped:
            self._idle_s = self._used_s = 0.0
            return False
        self._idle_s += min(sample.time_s - last.time_s, LONGEST_STEP_S)
        # A process that has left the tree takes its CPU time with it.
        self._used_s += abs(sample.cpu_s - last.cpu_s)
        if self._used_s > SLACK_S + IDLE_CPUS * self._idle_s:
            self._idle_s = self._used_s = 0.0
        return self._idle_s >= self.hang_s

    def reason(self) -> str:
        """Reason for the record of a child that hangs."""
        return f"the program hangs: it used no CPU time for {self.hang_s:g} s"

    def _restart(self) -> None:
        self._last = None
        self._idle_s = self._used_s = 0.0

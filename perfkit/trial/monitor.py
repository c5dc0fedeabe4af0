"""Watching a trial's child from outside: samples, limits, observers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perfkit.observers.observer import Child, Observer
from perfkit.observers.process_tree import Timeline, TreeSample, TreeSampler
from perfkit.records.schema import Outcome
from perfkit.trial.hang_watch import HangWatch
from perfkit.trial.log_limit import LogLimit
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.memory_watch import MemoryWatch

LOG_INTERVAL_S = 1.0
"""Seconds between two looks at the size of the log."""


class Monitor:
    """Samples a child's process tree from a thread until it is stopped.

    Parameters
    ----------
    child
        Child process, as observers see it.
    memory_limit_bytes
        Limit of the resident set of the process tree.
    hang_s
        Seconds without CPU time after which a child that should work hangs.
    log
        File of what the child prints, which is kept short.
    observers
        Observers that receive the child and its samples.
    on_limit
        Called with an outcome and a reason, on the sampling thread, when the tree exceeds the
        memory limit or hangs.
    """

    def __init__(
        self,
        child: Child,
        memory_limit_bytes: int,
        hang_s: float,
        log: Path,
        observers: Sequence[Observer],
        on_limit: Callable[[Outcome, str], None],
    ) -> None:
        self._child = child
        self._memory_limit_bytes = memory_limit_bytes
        self._observers = tuple(observers)
        self._on_limit = on_limit
        self._memory = MemoryWatch(child.pid, child.begin_s)
        self._hang = HangWatch(hang_s)
        self._log = LogLimit(log)
        self._log_seen_s = child.begin_s
        self._sampler = TreeSampler(child.pid, self._on_sample)

    def start(self) -> None:
        """Show the child to the observers and begin sampling."""
        for observer in self._observers:
            observer.started(self._child)
        self._sampler.start()

    def sample_now(self) -> None:
        """Take a sample now, so that what ran before is not counted to what runs next."""
        self._sampler.take()

    def pause(self) -> None:
        """Stop sampling while the process works for other trials."""
        self._sampler.pause()

    def resume(self) -> None:
        """Sample again."""
        self._sampler.resume()

    def expect_work(self, *, expected: bool) -> None:
        """Begin or end a time in which the child has something to do, and hangs if it does not."""
        self._hang.expect_work(expected=expected)

    def samples_around(self, begin_s: float, end_s: float) -> list[TreeSample]:
        """Samples between two moments of the monotonic clock, and the nearest on either side."""
        return self._sampler.timeline.around(begin_s, end_s)

    def memory_evidence(self) -> MemoryEvidence:
        """What was seen of memory, for a child that has just died."""
        return self._memory.evidence()

    def warnings(self) -> list[str]:
        """Warnings for the record, on what was limited."""
        flood = self._log.sentence()
        return [] if flood is None else [flood]

    def stop(self) -> Timeline:
        """End sampling, notify the observers that the child has ended, and return all samples."""
        timeline = self._sampler.stop()
        self._log.enforce()
        for observer in self._observers:
            observer.ended()
        return timeline

    def _on_sample(self, sample: TreeSample) -> None:
        if sample.rss_bytes > self._memory_limit_bytes:
            self._on_limit(
                Outcome.OUT_OF_MEMORY,
                f"{sample.rss_bytes / 1e9:.1f} GB resident, the limit is "
                f"{self._memory_limit_bytes / 1e9:.1f} GB",
            )
        if self._hang.sampled(sample):
            self._on_limit(Outcome.TIMEOUT, self._hang.reason())
        if sample.time_s - self._log_seen_s >= LOG_INTERVAL_S:
            self._log_seen_s = sample.time_s
            self._log.enforce()
        self._memory.sampled(sample)
        for observer in self._observers:
            observer.sampled(sample)

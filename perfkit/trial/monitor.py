"""Watching a trial's child from outside: samples, the memory limit, observers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perfkit.observers.observer import Child, Observer
from perfkit.observers.process_tree import Timeline, TreeSample, TreeSampler
from perfkit.trial.memory_evidence import MemoryEvidence
from perfkit.trial.memory_watch import MemoryWatch


class Monitor:
    """Samples a child's process tree from a thread until it is stopped.

    Parameters
    ----------
    child
        Child process, as observers see it.
    memory_limit_bytes
        Limit of the resident set of the process tree.
    observers
        Observers that receive the child and its samples.
    on_over_limit
        Called with a reason, on the sampling thread, when the tree exceeds the memory limit.
    """

    def __init__(
        self,
        child: Child,
        memory_limit_bytes: int,
        observers: Sequence[Observer],
        on_over_limit: Callable[[str], None],
    ) -> None:
        self._child = child
        self._memory_limit_bytes = memory_limit_bytes
        self._observers = tuple(observers)
        self._on_over_limit = on_over_limit
        self._memory = MemoryWatch(child.pid, child.begin_s)
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

    def samples_around(self, begin_s: float, end_s: float) -> list[TreeSample]:
        """Samples between two moments of the monotonic clock, and the nearest on either side."""
        return self._sampler.timeline.around(begin_s, end_s)

    def memory_evidence(self) -> MemoryEvidence:
        """What was seen of memory, for a child that has just died."""
        return self._memory.evidence()

    def stop(self) -> Timeline:
        """End sampling, notify the observers that the child has ended, and return all samples."""
        timeline = self._sampler.stop()
        for observer in self._observers:
            observer.ended()
        return timeline

    def _on_sample(self, sample: TreeSample) -> None:
        if sample.rss_bytes > self._memory_limit_bytes:
            self._on_over_limit(
                f"{sample.rss_bytes / 1e9:.1f} GB resident, the limit is "
                f"{self._memory_limit_bytes / 1e9:.1f} GB"
            )
        self._memory.sampled(sample)
        for observer in self._observers:
            observer.sampled(sample)

"""A clock for asv that advances by the times which a trial has measured.

asv times a call with the benchmark's ``timer``. Trials are measured once, in ``setup_cache``, in
processes of their own and in turns. Each call that asv times then plays one of the samples, so that
asv's statistics see every sample through documented attributes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class TrialClock:
    """A clock that :meth:`play` advances; each benchmark uses one as its ``timer``."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._played = 0

    def __call__(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def play(self, name: str, samples_s: Sequence[float]) -> None:
        """Advance by the next sample.

        Parameters
        ----------
        name
            Name of the quantity, unique within the folder in which asv runs the benchmark.
        samples_s
            All samples in seconds, in the order of measurement.

        Raises
        ------
        RuntimeError
            All samples have been played, by this clock or by an earlier round that shares the setup
            cache. Playing them again would count measurements that were never taken.
        """
        taken = Path(f"played-{name}")
        if self._played == 0:
            try:
                taken.touch(exist_ok=False)
            except FileExistsError:
                raise RuntimeError(
                    "these samples have been used: more rounds need --interleave-rounds, which "
                    "measures anew each time"
                ) from None
        if self._played == len(samples_s):
            raise RuntimeError(
                f"only {self._played} were measured: PERFKIT_BENCH_PROCESSES sets how many"
            )
        self._now_s += samples_s[self._played]
        self._played += 1

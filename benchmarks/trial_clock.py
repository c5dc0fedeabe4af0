"""The clock that asv reads: it goes on by what a trial has measured.

asv times a call with the benchmark's ``timer``. A trial is measured once, in ``setup_cache``, in
processes of its own and in turns with the others; each call that asv times then plays one of the
samples, so that asv's statistics see every single one, through its documented attributes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class TrialClock:
    """A clock that :meth:`play` moves forward; use one a benchmark, as its ``timer``."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._played = 0

    def __call__(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def play(self, name: str, samples_s: Sequence[float]) -> None:
        """Go on by the next sample.

        Parameters
        ----------
        name
            Of what was sampled, unique within the folder that asv runs the benchmark in.
        samples_s
            All samples, in the order of their measurement.

        Raises
        ------
        RuntimeError
            All have been played, here or by an earlier round that shares the setup cache: to play
            them again would make asv believe in measurements that were never taken.
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

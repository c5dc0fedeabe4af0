"""Instances side by side: trials that run at the same time, each bound to CPUs of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from perfkit.records.schema import Outcome, Record, Stage


class InstanceTrial(Protocol):
    """A trial as an instance drives it, e.g. :class:`perfkit.trial.launcher.TrialProcess`."""

    def start(self) -> None:
        """Start the process."""
        ...

    def wait_ready(self) -> bool:
        """Wait for the first pass; False if the trial ended before it."""
        ...

    def steady_pass(self, round_number: int) -> Stage | None:
        """Run a timed pass; None if the trial has ended, or if every attempt was disturbed."""
        ...

    def finish(self) -> Record:
        """Check the answer and end the trial."""
        ...

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """End the trial at once."""
        ...


def bind_thread(cpus: Sequence[int]) -> None:
    """Bind the calling thread to CPUs; processes that it starts inherit them."""
    os.sched_setaffinity(0, cpus)


def steady_pass(trial: InstanceTrial, round_number: int) -> Stage | None:
    """Run a timed pass of an instance; None ends it."""
    return trial.steady_pass(round_number)


@dataclass
class _Block[T: InstanceTrial]:
    """Trials that run at the same time.

    Attributes
    ----------
    make, rounds, bind, steady
        As for :func:`run_together`.
    barrier
        Passes of one round start together here. It is broken where a trial ends early, because the
        others must not wait for it.
    stop
        Set when the user interrupts.
    """

    make: Callable[[], T]
    rounds: int
    bind: Callable[[Sequence[int]], None]
    steady: Callable[[T, int], Stage | None]
    barrier: threading.Barrier
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, cpus: tuple[int, ...]) -> Record:
        """Bind this thread, whose child process inherits the binding, and run a trial."""
        complete = False
        try:
            self.bind(cpus)
            trial = self.make()
            trial.start()
            complete = trial.wait_ready() and self._passes(trial)
        finally:
            # A barrier that all have left may not be broken: some may still be waking up.
            if not complete:
                self.barrier.abort()
        if self.stop.is_set():
            return trial.abort(Outcome.INTERRUPTED, "interrupted by the user")
        return trial.finish()

    def _passes(self, trial: T) -> bool:
        try:
            for number in range(self.rounds):
                self.barrier.wait()
                if self.stop.is_set() or self.steady(trial, number) is None:
                    return False
        except threading.BrokenBarrierError:
            return False
        return True

    def interrupt(self) -> None:
        """End all trials as soon as their passes have ended."""
        self.stop.set()
        self.barrier.abort()


def run_together[T: InstanceTrial](
    make: Callable[[], T],
    shares: Sequence[tuple[int, ...]],
    rounds: int,
    *,
    bind: Callable[[Sequence[int]], None] = bind_thread,
    steady: Callable[[T, int], Stage | None] = steady_pass,
) -> list[Record]:
    """Run one trial per share of the CPUs at the same time, with passes that start together.

    Ctrl-C ends all trials as ``interrupted``.

    Parameters
    ----------
    make
        Makes a trial that has not been started. It is called in a thread that is bound to the
        trial's CPUs.
    shares
        CPUs of each trial.
    rounds
        Timed passes of each trial; a trial that ends early ends those of the others.
    bind
        Binds the calling thread.
    steady
        Runs a timed pass of a trial.

    Returns
    -------
    list of Record
        One record per share, in the order of the shares.
    """
    block = _Block(make, rounds, bind, steady, threading.Barrier(len(shares)))
    with ThreadPoolExecutor(len(shares)) as threads:
        running = [threads.submit(block.run, cpus) for cpus in shares]
        try:
            wait(running)
        except KeyboardInterrupt:
            block.interrupt()
    return [one.result() for one in running]

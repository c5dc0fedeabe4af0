"""Programs of known behaviour, run under observers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from perfkit.models.workload import Workload
from perfkit.observers.observer import Child, Observer
from perfkit.observers.process_tree import TreeSample, TreeSampler

WORKLOAD = Workload("gencast", "a program", 1, {}, {}, "digest")

DEADLINE_S = 120.0
"""Largest time to wait for a condition, in seconds; far more than any of them needs."""


@contextmanager
def observed(
    observers: Sequence[Observer], code: str, folder: Path, cpus: int = 8
) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """A Python program under observers.

    The program begins when the interpreter has started and the first sample is taken. The end of
    the block waits for the end of the program.

    Parameters
    ----------
    observers
        Observers of the program.
    code
        Source of the program. It may wait for lines on its standard input.
    folder
        Folder for files of the observers.
    cpus
        Number of CPUs that the observers assume.

    Yields
    ------
    tuple
        The process, and its start on the monotonic clock.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", f"print('ready', flush=True)\ninput()\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    begin_s = time.monotonic()
    child = Child(process.pid, folder, begin_s, cpus, WORKLOAD)
    for observer in observers:
        observer.started(child)
    sampled = threading.Event()

    def pass_on(sample: TreeSample) -> None:
        for observer in observers:
            observer.sampled(sample)
        sampled.set()

    sampler = TreeSampler(process.pid, pass_on)
    sampler.start()
    assert sampled.wait(DEADLINE_S)
    process.stdin.write("\n")
    process.stdin.flush()
    yield process, begin_s
    process.communicate("\n")
    sampler.stop()
    for observer in observers:
        observer.ended()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail after :data:`DEADLINE_S`."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not occur"
        time.sleep(0.02)

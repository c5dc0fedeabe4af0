"""Programs of known behaviour, started for observers to look at."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from perfkit.models.base import Workload
from perfkit.observers.observer import Child, Observer
from perfkit.observers.process_tree import TreeSample, TreeSampler

WORKLOAD = Workload("gencast", "a program", 1, {}, {}, "digest")


@contextmanager
def observed(
    observers: Sequence[Observer], code: str, folder: Path, cpus: int = 8
) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """A Python program under observers; its process, and the clock at its start.

    The program waits for a line on its input before it does anything, so that all observers have
    begun; leaving the block waits for its end.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", f"input()\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    begin_s = time.monotonic()
    child = Child(process.pid, folder, begin_s, cpus, WORKLOAD)
    for observer in observers:
        observer.started(child)

    def pass_on(sample: TreeSample) -> None:
        for observer in observers:
            observer.sampled(sample)

    sampler = TreeSampler(process.pid, pass_on)
    sampler.start()
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    yield process, begin_s
    process.communicate("\n")
    sampler.stop()
    for observer in observers:
        observer.ended()

"""What a process has freed goes back to the system, whichever allocator it has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from perfkit.knobs import allocators

SCRIPT = """
import threading
from perfkit.trial.worker.free_memory import give_back_free_memory
from perfkit.trial.worker.cache import resident_bytes

def use_and_free():
    blocks = [b"x" * 60_000 for _ in range(4000)]
    # What stays in use is spread over all that is freed.
    return blocks[::400]

other = threading.Thread(target=use_and_free)
other.start()
other.join()
kept = use_and_free()
before = resident_bytes()
give_back_free_memory()
print(before, resident_bytes())
"""


@pytest.mark.parametrize("name", allocators.ALLOCATORS)
def test_freed_memory_is_given_back(name: str) -> None:
    if not allocators.is_available(name):
        pytest.skip(allocators.not_installed(name))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **allocators.environment(name)},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, done.stdout.split())
    # 240 MB were in use twice.
    assert before - after > 150e6

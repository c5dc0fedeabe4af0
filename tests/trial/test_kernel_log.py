"""Kills for lack of memory, found in lines of the kernel's log."""

from __future__ import annotations

import pytest

from perfkit.trial.conditions.kernel_log import find_memory_kill

PID = 7
MESSAGE = "Memory cgroup out of memory: Killed process {} (python) total-vm:9kB"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"6,1,100000000,-;{MESSAGE.format(PID)}, UID:0 x"], (MESSAGE.format(PID), False)),
        ([f"6,1,100000000,-;{MESSAGE.format(8)}, UID:0 x"], ("", True)),
        # An hour ago another process had this ID.
        ([f"6,1,10000000,-;{MESSAGE.format(PID)}, UID:0 x"], ("", False)),
        (["6,1,100000000,-;sysrq: Killed process 7 (python)"], ("", False)),
        (["torn", "6,x;", " SUBSYSTEM=pci"], ("", False)),
    ],
)
def test_the_kernels_log_names_the_process(lines: list[str], found: tuple[str, bool]) -> None:
    assert find_memory_kill(PID, 99.0, lines) == found

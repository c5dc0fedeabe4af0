"""Common kinds of machines, for tables without an inventory."""

from __future__ import annotations

from perfkit.capacity.queue.machines import Machine
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY

GB = 10**9

SHAPES = ((4, 16), (8, 32), (16, 64), (32, 128), (64, 256), (128, 512), (128, 2048))
"""Cores and memory in GB: a laptop, a workstation, servers of one and two sockets with the 4 GB a
core that clusters and clouds commonly have, and a node for large memory."""


def common_machines() -> tuple[Machine, ...]:
    """Return a machine of each shape, whose cores are as fast as those that the fit holds for.

    :data:`~perfkit.trial.limits.SHARE_OF_AVAILABLE_MEMORY` of the memory is for predictions, the
    rest for the operating system.
    """
    return tuple(
        Machine(
            name=f"{cores} cores, {memory_gb} GB",
            count=1,
            cores=cores,
            memory_bytes=int(memory_gb * GB * SHARE_OF_AVAILABLE_MEMORY),
            speed=1.0,
        )
        for cores, memory_gb in SHAPES
    )

"""The machine that perfkit runs on, as far as it decides which knob values can matter."""

from __future__ import annotations

from perfkit.knobs.allocators import ALLOCATORS, is_available
from perfkit.knobs.cpus import allowed_cpus
from perfkit.knobs.knob import Host
from perfkit.records.machine import fingerprint


def this_host() -> Host:
    """Instruction sets, CPUs and allocators of this machine."""
    return Host(
        instruction_sets=frozenset(fingerprint().instruction_sets),
        cpus=len(allowed_cpus()),
        allocators=frozenset(name for name in ALLOCATORS if is_available(name)),
    )

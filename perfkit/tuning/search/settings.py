"""Settings of configurations, and those of them that a whole process has in common."""

from __future__ import annotations

from perfkit.knobs.allocators import ALLOCATOR_KNOB
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.xla_flags import KNOWN_FLAGS

type Settings = tuple[tuple[str, str], ...]
"""Pairs of knob and value that differ from stock, sorted by knob."""

_OF_PROCESS = frozenset([CPUS_KNOB.name, ALLOCATOR_KNOB.name])
_PER_COMPILATION = frozenset(knob.name for knob in KNOWN_FLAGS if knob.per_compilation)


def process_settings(settings: Settings) -> Settings:
    """The settings that hold for a whole process: programs in one process have them in common.

    Settings of a model, and flags that XLA takes per compilation, belong to a single program.
    """
    return tuple((name, value) for name, value in settings if name in _OF_PROCESS or _is_flag(name))


def _is_flag(name: str) -> bool:
    """Whether a knob is a flag of XLA that holds for a whole process."""
    return name.startswith("xla_") and name not in _PER_COMPILATION

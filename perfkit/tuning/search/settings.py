"""Settings of configurations, and those of them that a whole process has in common."""

from __future__ import annotations

from functools import lru_cache

from perfkit.files import short_digest
from perfkit.knobs.allocators import ALLOCATOR_KNOB
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.jaxlib import JAXLIB
from perfkit.knobs.xla_flags import compiler_options

type Settings = tuple[tuple[str, str], ...]
"""Pairs of knob and value that differ from stock, sorted by knob."""

_OF_PROCESS = frozenset([CPUS_KNOB.name, ALLOCATOR_KNOB.name, JAXLIB])


# Evidence asks this for each pair of processes.
@lru_cache(maxsize=4096)
def process_settings(settings: Settings) -> Settings:
    """The settings that hold for a whole process: programs in one process have them in common.

    Settings of a model, and values of flags that XLA takes per compilation, belong to a single
    program.
    """
    flags = {name: value for name, value in settings if name.startswith("xla_")}
    common = _OF_PROCESS | (flags.keys() - compiler_options(flags).keys())
    return tuple((name, value) for name, value in settings if name in common)


def cache_name(settings: Settings) -> str:
    """Name of the folder in which processes with these settings share their compiled programs.

    JAX's cache does not know the size of the thread pool that a program was compiled for.
    """
    return short_digest(process_settings(program_settings(settings)))


def program_settings(settings: Settings) -> Settings:
    """The settings on which a compiled program depends: all but the allocator.

    Processes that differ in their allocator only can use the same compilation cache.
    """
    return tuple((name, value) for name, value in settings if name != ALLOCATOR_KNOB.name)

"""The environment of a trial's child: what a configuration sets, and nothing left over."""

from __future__ import annotations

import os

from perfkit.knobs.configuration import Configuration

CONTROLLED_VARIABLES = (
    "XLA_FLAGS",
    "PJRT_NPROC",
    "NPROC",
    "LD_PRELOAD",
    "MALLOC_CONF",
    "MALLOC_MMAP_MAX_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
    "TCMALLOC_RELEASE_RATE",
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_ENABLE_X64",
)
"""What a configuration may set is taken out of the inherited environment first: otherwise two
equal configurations would run differently in two shells."""


def child_environment(configuration: Configuration) -> dict[str, str]:
    """The inherited environment, cleared of what a configuration may set, plus what it sets."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in CONTROLLED_VARIABLES
    }
    return inherited | {"JAX_PLATFORMS": "cpu"} | configuration.environment()

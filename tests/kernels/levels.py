"""Loads a library of kernels for every instruction-set level that this CPU has."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.kernels.build.levels import LEVELS, levels_here
from perfkit.kernels.build.library import load, recipe_here
from perfkit.kernels.kernel import Kernel
from perfkit.kernels.registry import KERNELS
from perfkit.paths import CACHE_VARIABLE

HIGHEST = levels_here()[-1:]

ALL_LEVELS = [
    pytest.param(level.name, marks=() if level.name in HIGHEST else pytest.mark.slow)
    for level in LEVELS
]
"""All levels. Those below the highest of this CPU run with ``--slow`` only."""


DIFFUSION = tuple(
    kernel
    for kernel in KERNELS
    if kernel.source.startswith(("adaptive", "atom")) or kernel.name in ("pair bias", "transition")
)
"""The kernels of the diffusion: tests that use the same ones share a library."""

GRAPH = tuple(
    kernel
    for kernel in KERNELS
    if kernel.source in ("edge_messages.cc", "mlp_block.cc", "patch_attention.cc")
)
"""The kernels of graph networks and their transformers."""


@contextlib.contextmanager
def loaded(
    level: str, kernels: Sequence[Kernel], sources: Path, folders: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The library of a level, in use while the context lasts; skips a level the CPU does not have.

    A library is built once for all tests of a session.

    Yields
    ------
    dict
        Target -> registered name.
    """
    reason = why_no_kernels()
    if reason is not None:
        pytest.skip(f"no native kernels here: {reason}")
    if level not in levels_here():
        pytest.skip(f"this CPU has no {level}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folders.getbasetemp() / "kernels"))
        recipe = dataclasses.replace(recipe_here(kernels, sources), level=level)
        yield load(recipe)

"""Loads a library of kernels for every instruction-set level that this CPU has."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.kernels.build.headers import SOURCE_FOLDER
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


def shared_folder(folders: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist share during the session."""
    folder = folders.getbasetemp()
    # Each worker has a folder of its own in that of the session.
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@contextlib.contextmanager
def loaded(
    level: str,
    folders: pytest.TempPathFactory,
    kernels: Sequence[Kernel] = KERNELS,
    sources: Path = SOURCE_FOLDER,
) -> Iterator[dict[str, str]]:
    """The library of a level, in use while the context lasts; skips a level the CPU does not have.

    The library of all kernels is built once for all tests of a session.

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
        patch.setenv(CACHE_VARIABLE, str(shared_folder(folders) / "kernels"))
        recipe = dataclasses.replace(recipe_here(kernels, sources), level=level)
        yield load(recipe)

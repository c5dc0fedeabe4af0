"""Lets the tests of this folder use the planted records, and shares one Slurm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "capacity"))

from local_slurm import Slurm, local_slurm


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm of the session's own."""
    with local_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running

"""One Slurm for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.local_slurm import Slurm, local_slurm


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm that runs for the session."""
    with local_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running

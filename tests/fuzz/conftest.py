"""One process checks all HDF5 files of these tests: each process needs 0.2 s to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfkit.models.gencast.inputs.hdf5_check import checks_in_one_process


@pytest.fixture(scope="session", autouse=True)
def one_process_for_checks() -> Iterator[None]:
    """Keep the process until the last test."""
    with checks_in_one_process():
        yield

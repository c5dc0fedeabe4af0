"""A cache of the test run's own, and the libraries of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.paths import CACHE_VARIABLE
from tests.kernels.levels import ALL_LEVELS, HIGHEST, loaded
from tests.kernels.row_sum import ROW_SUM, SOURCES


@pytest.fixture(scope="session")
def kernels() -> None:
    """Skip where native kernels cannot be built, and say why."""
    pytest.importorskip("jax")
    reason = why_no_kernels()
    if reason is not None:
        pytest.skip(f"no native kernels here: {reason}")


@pytest.fixture(scope="session")
def kernel_cache(kernels: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the compiled library of :data:`ROW_SUM`."""
    folder = tmp_path_factory.mktemp("kernel-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        from perfkit.kernels.build.library import built, recipe_here

        built(recipe_here((ROW_SUM,), SOURCES))
    return folder


@pytest.fixture
def row_sum_target(kernel_cache: Path) -> Iterator[str]:
    """The registered name of the handler, after its library was loaded."""
    from perfkit.kernels.build.library import load, recipe_here

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(kernel_cache))
        assert os.environ[CACHE_VARIABLE] == str(kernel_cache)
        yield load(recipe_here((ROW_SUM,), SOURCES))["perfkit.RowSum"]


@pytest.fixture(scope="module", params=ALL_LEVELS)
def level(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An instruction-set level of this CPU, with its kernels in use."""
    with loaded(request.param, tmp_path_factory):
        yield str(request.param)


@pytest.fixture
def highest_level(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kernels of the highest level of this CPU are in use."""
    with loaded("".join(HIGHEST), tmp_path_factory):
        yield

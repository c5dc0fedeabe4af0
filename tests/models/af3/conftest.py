"""Fixtures: fold inputs, their features and the cache of component dictionaries."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfkit.models.af3.featurise import Batch, featurise
from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input
from perfkit.paths import CACHE_VARIABLE

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

type Load = Callable[[str], tuple[Input, tuple[str, ...]]]
type Featurise = Callable[[str], list[Batch]]

_DATA = Path(__file__).parents[2] / "data" / "af3"


@functools.cache
def _load(name: str) -> tuple[Input, tuple[str, ...]]:
    return load_fold_input(UBIQUITIN if name == "ubiquitin" else _DATA / f"{name}.json")


@functools.cache
def _featurise(name: str) -> list[Batch]:
    return featurise(_load(name)[0])


@pytest.fixture(scope="session")
def component_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cache that starts empty and is shared by all tests of the session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def component_cache(component_folder: Path) -> Iterator[Path]:
    """Use the shared folder as perfkit's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(component_folder))
        yield component_folder


@pytest.fixture
def data() -> Path:
    """Folder of the test inputs."""
    return _DATA


@pytest.fixture
def load(component_cache: Path) -> Load:
    """Load a test input by name, once per session."""
    return _load


@pytest.fixture
def featurised(component_cache: Path) -> Featurise:
    """Featurise a test input by name without padding, once per session."""
    return _featurise

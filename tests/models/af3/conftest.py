"""Fold inputs and component dictionaries that the tests of AlphaFold 3's inputs share."""

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
    """A cache that starts empty and that all tests of the session share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def component_cache(component_folder: Path) -> Iterator[Path]:
    """The shared cache, in force as perfkit's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(component_folder))
        yield component_folder


@pytest.fixture
def data() -> Path:
    """The folder with the test inputs."""
    return _DATA


@pytest.fixture
def load(component_cache: Path) -> Load:
    """Loads a test input by name, once a session."""
    return _load


@pytest.fixture
def featurised(component_cache: Path) -> Featurise:
    """Featurises a test input by name without padding, once a session."""
    return _featurise

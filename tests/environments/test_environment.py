"""Environments of other versions of jaxlib: real ones, of wheels that take no download."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from perfkit.environments.__main__ import main
from perfkit.environments.environment import (
    MARK,
    Environment,
    environment_for,
    parse_versions,
    running_jaxlib,
)
from perfkit.environments.installers import Pip
from perfkit.errors import UserError
from perfkit.paths import CACHE_VARIABLE
from tests.support.wheels import make_wheel

pytest.importorskip("jaxlib", reason="an environment is made from one with jaxlib")
pytest.importorskip("pip", reason="pip installs the wheels")

VERSION = "7.1"
"""No release has this number."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = cache / "wheels"
    if not wheels.exists():
        wheels.mkdir()
        make_wheel(wheels, "jaxlib", VERSION)
        make_wheel(wheels, "jax", VERSION, [f"jaxlib=={VERSION}"], "import jaxlib")
        make_wheel(wheels, "jaxlib", "7.2")
        make_wheel(wheels, "jax", "7.2", ["jaxlib"], "raise ImportError('jax 7.2 is broken')")
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


class Unpacks:
    """An installer of the wheels of jax and jaxlib that is quicker than pip."""

    needs_pip = False

    def __init__(self, cache: Path) -> None:
        self._wheels = cache / "wheels"

    def __call__(
        self, python: Path, requirements: Sequence[str], shared: Mapping[str, str]
    ) -> None:
        (packages,) = python.parents[1].glob("lib/python*/site-packages")
        for requirement in requirements[:2]:
            wheel = f"{requirement.replace('==', '-')}-py3-none-any.whl"
            with zipfile.ZipFile(self._wheels / wheel) as archive:
                archive.extractall(packages)


class Refuses(Pip):
    """An installer that must not be called."""

    def __call__(
        self, python: Path, requirements: Sequence[str], shared: Mapping[str, str]
    ) -> None:
        raise AssertionError("nothing is to be installed")


def _output(environment: Environment, code: str) -> str:
    done = subprocess.run(
        [environment.python, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout.strip()


def test_the_environment_has_its_own_jaxlib_and_shares_the_rest() -> None:
    said: list[str] = []
    environment = environment_for(VERSION, said.append, Pip())
    assert len(said) == 1
    assert environment.interpreter is not None
    assert environment.interpreter.jaxlib == VERSION
    assert dict(environment.interpreter.versions)["numpy"] == metadata.version("numpy")
    modules = "import jax, numpy, perfkit; print(*(m.__path__[0] for m in (jax, numpy, perfkit)))"
    jax_folder, numpy_folder, perfkit_folder = _output(environment, modules).split()
    assert Path(jax_folder).is_relative_to(environment.python.parents[1])
    assert Path(numpy_folder) == Path(np.__path__[0])
    assert Path(perfkit_folder) == Path(__file__).parents[2] / "perfkit"
    # The running environment is what it was.
    assert metadata.version("jaxlib") == running_jaxlib() != VERSION


def test_it_is_built_once(cache: Path) -> None:
    first = environment_for(VERSION, install=Unpacks(cache))
    assert environment_for(VERSION, install=Refuses()) == first


def test_a_half_built_one_is_built_again(cache: Path) -> None:
    environment = environment_for(VERSION, install=Unpacks(cache))
    folder = environment.python.parents[1]
    (folder / MARK).unlink()
    shutil.rmtree(next(folder.glob("lib/python*/site-packages/jaxlib")))
    again = environment_for(VERSION, install=Unpacks(cache))
    assert again.python == environment.python
    assert _output(again, "import jaxlib; print('found')") == "found"


def test_the_running_version_needs_no_environment() -> None:
    environment = environment_for(running_jaxlib(), install=Refuses())
    assert environment.interpreter is None
    assert environment.python == Path(sys.executable)


def test_a_version_that_does_not_exist_is_one_sentence_and_leaves_nothing(cache: Path) -> None:
    before = sorted(cache.glob("environments/*/"))
    with pytest.raises(UserError) as caught:
        environment_for("9.9", install=Pip())
    assert str(caught.value) == (
        "jaxlib 9.9 cannot be installed: pip: No matching distribution found for jaxlib==9.9"
    )
    assert sorted(cache.glob("environments/*/")) == before


def test_a_jax_that_cannot_be_imported_is_named(cache: Path) -> None:
    with pytest.raises(UserError, match=r"jaxlib 7\.2 is installed .* jax 7\.2 is broken"):
        environment_for("7.2", install=Unpacks(cache))


def test_the_module_prints_the_pythons(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = environment_for(VERSION, install=Unpacks(cache))
    assert main([VERSION, running_jaxlib()]) == 0
    assert capsys.readouterr().out.split() == [str(environment.python), sys.executable]
    assert main(["newest"]) == 2
    assert "not 'newest'" in capsys.readouterr().err


def test_a_list_of_versions_is_read() -> None:
    assert parse_versions("0.10.2, 0.11.0,0.10.2") == ["0.10.2", "0.11.0"]
    assert parse_versions(["0.12.0rc1"]) == ["0.12.0rc1"]
    for text in ("", "0.11,,", "-r evil.txt", "0.11.0; x", "latest"):
        with pytest.raises(UserError, match="--jaxlib takes versions"):
            parse_versions(text)

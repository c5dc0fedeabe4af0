"""The library of kernels in the user's cache: built once, checked before it is loaded."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perfkit.errors import ConfigurationRefusedError
from perfkit.kernels.build.compiler import Compiler
from perfkit.kernels.build.library import Recipe, built, load
from perfkit.kernels.kernel import Kernel
from perfkit.paths import CACHE_VARIABLE

# Notes each call, and writes its arguments and the kernel's source to the file after -o.
COMPILER = """#!/bin/sh
echo called >> "$(dirname "$0")/calls"
sleep {seconds}
while [ "$#" -gt 1 ]; do if [ "$1" = -o ]; then echo library > "$2"; fi; shift; done
"""

FAILING = """#!/bin/sh
echo "In file included from a.cc:1:" >&2
echo "a.cc:3:5: error: 'nothing' was not declared in this scope" >&2
echo "a.cc:4:5: error: another" >&2
exit 1
"""


@pytest.fixture
def make_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Recipes of one source and a compiler that is a script, with a cache of the test's own."""
    pytest.importorskip("jaxlib")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "a.cc").write_text("// nothing")

    def make(script: str = COMPILER, seconds: float = 0, name: str = "compiler") -> Recipe:
        program = tmp_path / name
        program.write_text(script.replace("{seconds}", str(seconds)))
        program.chmod(0o755)
        compiler = Compiler((str(program),), "(test) 1.0")
        return Recipe((Kernel("a", "a.cc", ("A",)),), folder, "avx2", compiler)

    return make


def _calls(recipe: Recipe) -> int:
    return len((Path(recipe.compiler.command[0]).parent / "calls").read_text().splitlines())


BUILD = 2
"""Calls of the compiler for one build: one source, and the library."""


def test_a_library_is_built_once(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    path = built(recipe)
    assert path.read_text() == "library\n"
    assert built(recipe) == path
    assert _calls(recipe) == BUILD


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("suffix", [".so", ".json"])
@pytest.mark.parametrize("damage", [_cut, _flip, _empty, Path.unlink, _replace_by_folder])
def test_a_damaged_entry_is_rebuilt(
    make_recipe: Callable[..., Recipe], suffix: str, damage: Callable[[Path], None]
) -> None:
    recipe = make_recipe()
    folder = built(recipe).parent
    (damaged,) = folder.glob(f"*{suffix}")
    damage(damaged)
    assert built(recipe).read_text() == "library\n"
    assert _calls(recipe) == 2 * BUILD
    built(recipe)
    assert _calls(recipe) == 2 * BUILD


def test_the_entry_of_another_level_under_this_name_is_rebuilt(
    make_recipe: Callable[..., Recipe],
) -> None:
    recipe = make_recipe()
    folder = built(recipe).parent
    (own,) = folder.glob("*.json")
    built(dataclasses.replace(recipe, level="amx"))
    (other,) = set(folder.glob("*.json")) - {own}
    shutil.copy(other, own)
    built(recipe)
    assert _calls(recipe) == 3 * BUILD


def test_of_several_at_once_one_compiles(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(seconds=0.2)
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(built, [recipe] * 4))
    assert len(paths) == 1
    assert _calls(recipe) == BUILD


def test_the_key_names_content_and_not_places(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    assert make_recipe(name="link-to-the-same").depends_on == recipe.depends_on
    newer = dataclasses.replace(recipe, compiler=Compiler(("g++",), "(test) 1.1"))
    assert newer.depends_on != recipe.depends_on
    before = recipe.depends_on
    (recipe.folder / "a.h").write_text("// a header that a.cc may include")
    assert recipe.depends_on != before


def test_the_first_error_of_the_compiler_is_reported(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(FAILING)
    with pytest.raises(ConfigurationRefusedError) as error:
        built(recipe)
    assert str(error.value) == (
        f"the native kernels cannot be compiled: {recipe.compiler.command[0]} fails on a.cc: "
        "a.cc:3:5: error: 'nothing' was not declared in this scope"
    )
    # A compiler that was repaired is asked again.
    assert built(make_recipe()).read_text() == "library\n"


def test_what_the_loader_refuses_is_refused(make_recipe: Callable[..., Recipe]) -> None:
    pytest.importorskip("jax")
    with pytest.raises(ConfigurationRefusedError, match="cannot be loaded"):
        load(make_recipe())

"""Allocators: installed ones are really loaded, missing ones are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.knobs import allocators
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.host import this_host
from perfkit.knobs.knob import Host

WITH_LIBRARY = [name for name, allocator in allocators.ALLOCATORS.items() if allocator.libraries]


@pytest.mark.parametrize("name", WITH_LIBRARY)
def test_an_installed_allocator_is_loaded(name: str) -> None:
    library = allocators.library_path(name)
    if library is None:
        pytest.skip(allocators.not_installed(name))
    mapped = subprocess.run(
        [sys.executable, "-c", "print(open('/proc/self/maps').read())"],
        env={**os.environ, **allocators.environment(name)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(library.resolve()) in mapped.stdout
    assert mapped.stderr == ""


@pytest.mark.parametrize("name", ["glibc", "glibc-hugepages", "glibc-keep"])
def test_glibc_is_always_available_and_preloads_nothing(name: str) -> None:
    assert allocators.is_available(name)
    assert "LD_PRELOAD" not in allocators.environment(name)


def test_a_missing_allocator_is_reported_with_its_package() -> None:
    configuration = Catalogue().configuration({"allocator": "tcmalloc"})
    assert configuration.unavailable(installed=lambda name: False) == (
        "allocator 'tcmalloc' is not installed on this machine; install the Debian package "
        "libtcmalloc-minimal4 (apt install libtcmalloc-minimal4)"
    )
    mimalloc = Catalogue().configuration({"allocator": "mimalloc"})
    assert mimalloc.unavailable(installed=lambda name: False) == (
        "allocator 'mimalloc' is not installed on this machine; install the Python package "
        "cmeel-mimalloc (pip install cmeel-mimalloc)"
    )
    assert configuration.unavailable(installed=lambda name: True) is None
    assert Catalogue().configuration({"allocator": "glibc-keep"}).unavailable() is None


def test_the_first_folder_that_holds_a_library_wins(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "libjemalloc.so.2").touch()
    folders = tuple(str(tmp_path / name) for name in ("none", "first", "second"))
    found = allocators.library_path("jemalloc", folders)
    assert found == tmp_path / "first" / "libjemalloc.so.2"


def test_equal_configurations_preload_the_same_libraries_in_two_shells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quiet = allocators.environment("jemalloc")
    monkeypatch.setenv("LD_PRELOAD", "/somewhere/liblogging.so")
    assert allocators.environment("jemalloc") == quiet


def test_a_library_of_a_python_package_comes_before_that_of_the_system(tmp_path: Path) -> None:
    packaged, system = tmp_path / "site", tmp_path / "lib"
    for folder in (packaged, system):
        folder.mkdir()
        (folder / "libmimalloc.so.3").touch()
    files = {"cmeel-mimalloc": (packaged / "mimalloc.h", packaged / "libmimalloc.so.3")}
    folders = (str(system),)
    assert allocators.library_path("mimalloc", folders, files.__getitem__) == (
        packaged / "libmimalloc.so.3"
    )
    assert allocators.library_path("mimalloc", folders, lambda name: ()) == (
        system / "libmimalloc.so.3"
    )


@pytest.mark.parametrize("folder", ["my site", "my:site"])
def test_a_library_that_cannot_be_preloaded_is_passed_over(tmp_path: Path, folder: str) -> None:
    library = tmp_path / folder / "libmimalloc.so.3"
    library.parent.mkdir()
    library.touch()
    assert allocators.library_path("mimalloc", (), lambda name: (library,)) is None


def test_files_of_a_distribution_that_is_not_installed() -> None:
    assert allocators.distribution_files("no-such-distribution") == ()


def test_files_of_a_distribution_exist() -> None:
    files = allocators.distribution_files("pydantic")
    assert any(file.name == "main.py" and file.is_file() for file in files)


@pytest.mark.skipif(
    not allocators.is_available("mimalloc"), reason="cmeel-mimalloc is not installed"
)
def test_jax_allocates_from_mimalloc_with_its_options() -> None:
    code = (
        "import jax.numpy as jnp; print(float(jnp.ones((512, 512)).sum()));"
        "print('libmimalloc' in open('/proc/self/maps').read())"
    )
    variables = {**allocators.environment("mimalloc"), "MIMALLOC_VERBOSE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == ["262144.0", "True"]
    # What mimalloc itself reports of its options.
    assert "option 'purge_delay': 10000" in ended.stderr


def test_missing_allocators_are_named_with_what_to_install() -> None:
    bare = Host(frozenset(), 2, frozenset({"glibc", "glibc-keep", "glibc-hugepages"}))
    assert allocators.missing_allocators(bare) == (
        "allocators jemalloc-hugepages and jemalloc are not installed and not tried; install the "
        "Debian package libjemalloc2 (apt install libjemalloc2)",
        "allocator mimalloc is not installed and not tried; install the Python package "
        "cmeel-mimalloc (pip install cmeel-mimalloc)",
        "allocator tcmalloc is not installed and not tried; install the Debian package "
        "libtcmalloc-minimal4 (apt install libtcmalloc-minimal4)",
    )


def test_no_allocator_is_missing_where_all_are_installed() -> None:
    assert (
        allocators.missing_allocators(Host(frozenset(), 2, frozenset(allocators.ALLOCATORS))) == ()
    )


def test_this_machine_lists_the_allocators_whose_libraries_it_has() -> None:
    installed = {name for name in WITH_LIBRARY if allocators.library_path(name) is not None}
    assert this_host().allocators == installed | {"glibc", "glibc-keep", "glibc-hugepages"}

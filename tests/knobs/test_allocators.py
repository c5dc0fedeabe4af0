"""Allocators: installed ones are really loaded, missing ones are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.knobs import allocators
from perfkit.knobs.configuration import Catalogue

WITH_LIBRARY = [name for name, allocator in allocators.ALLOCATORS.items() if allocator.libraries]


@pytest.mark.parametrize("name", WITH_LIBRARY)
def test_an_installed_allocator_is_loaded(name: str) -> None:
    library = allocators.library_path(name)
    if library is None:
        pytest.skip(f"Debian package {allocators.ALLOCATORS[name].package} is not installed")
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
        "libtcmalloc-minimal4"
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

"""Memory allocators: which are installed, and how a process is started under them."""

from __future__ import annotations

import ctypes.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from perfkit.knobs.knob import Bundle, Host, Knob, Layer, Search
from perfkit.knobs.parsers import one_of

LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
"""Folders in which Debian, Red Hat and manual installations put shared libraries."""

PRELOAD = "LD_PRELOAD"
"""Variable that lists the libraries to load before all others (ld.so(8))."""

KEEP_PAGES = "dirty_decay_ms:-1,muzzy_decay_ms:-1"
"""Makes jemalloc keep freed pages (jemalloc(3), ``opt.dirty_decay_ms``)."""


@dataclass(frozen=True)
class Allocator:
    """An allocator and the environment that selects it.

    Attributes
    ----------
    libraries
        File names of the shared library, of which the first found is used; empty for glibc.
    variables
        Environment variables in addition to ``LD_PRELOAD``.
    package
        Debian package that installs the library.
    """

    libraries: tuple[str, ...]
    variables: Mapping[str, str]
    package: str = ""


ALLOCATORS: dict[str, Allocator] = {
    "glibc": Allocator((), {}),
    "glibc-hugepages": Allocator((), {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    "glibc-keep": Allocator((), {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 46)}),
    "jemalloc": Allocator(
        ("libjemalloc.so.2",), {"MALLOC_CONF": KEEP_PAGES}, package="libjemalloc2"
    ),
    "jemalloc-hugepages": Allocator(
        ("libjemalloc.so.2",),
        {"MALLOC_CONF": f"{KEEP_PAGES},thp:always"},
        package="libjemalloc2",
    ),
    "tcmalloc": Allocator(
        ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
        {"TCMALLOC_RELEASE_RATE": "0"},
        package="libtcmalloc-minimal4",
    ),
}
"""Allocators by name.

XLA:CPU allocates the temporary buffer of a program anew for every execution. The allocators differ
in whether they keep its pages between executions, and in the size of the pages.
"""


@cache
def library_path(name: str, folders: Sequence[str] = LIBRARY_FOLDERS) -> Path | None:
    """The shared library of allocator ``name``, or None where it is not installed.

    Parameters
    ----------
    name
        Name of the allocator.
    folders
        Folders to look in, in this order, before the loader's own.
    """
    for library in ALLOCATORS[name].libraries:
        for folder in folders:
            path = Path(folder, library)
            if path.exists():
                return path
        short = library.removeprefix("lib").split(".so")[0]
        found = ctypes.util.find_library(short)
        if found and Path(found).is_absolute():
            return Path(found)
    return None


def is_available(name: str) -> bool:
    """Whether allocator ``name`` can be used on this machine."""
    return not ALLOCATORS[name].libraries or library_path(name) is not None


def environment(name: str) -> dict[str, str]:
    """The variables that start a process under allocator ``name``."""
    path = library_path(name)
    preloaded = {} if path is None else {PRELOAD: str(path)}
    return {**ALLOCATORS[name].variables, **preloaded}


def _installed(value: str, host: Host) -> bool:
    return value in host.allocators


ALLOCATOR_KNOB = Knob(
    name="allocator",
    default="glibc",
    layer=Layer.ALLOCATOR,
    exact=True,
    summary="memory allocator, and whether it keeps freed pages",
    parse=one_of(*ALLOCATORS),
    search=Search(
        ("jemalloc-hugepages", "tcmalloc", "jemalloc", "glibc-keep", "glibc-hugepages"),
        order=20,
        bundle=Bundle.MINOR,
        useful=_installed,
    ),
)

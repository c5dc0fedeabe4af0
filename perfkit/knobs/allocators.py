"""Memory allocators: which are on this machine and how a process is started under them."""

from __future__ import annotations

import ctypes.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from perfkit.knobs.knob import Knob, Layer, one_of

LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
"""Where Debian, Red Hat and by-hand installations put shared libraries."""

PRELOAD = "LD_PRELOAD"
"""Variable that names the libraries to load before all others (ld.so(8))."""

KEEP_PAGES = "dirty_decay_ms:-1,muzzy_decay_ms:-1"
"""jemalloc: never give freed pages back (jemalloc(3), ``opt.dirty_decay_ms``)."""


@dataclass(frozen=True)
class Allocator:
    """An allocator and the environment that selects it.

    Parameters
    ----------
    libraries
        File names of the shared library, first found wins; empty for glibc's own.
    variables
        Environment variables beside ``LD_PRELOAD``.
    package
        Debian package that brings the library.
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
"""Every execution of an XLA:CPU program allocates its temporary buffer anew; what these differ in
is whether its pages are kept between executions, and how large the pages are."""


@cache
def library_path(name: str) -> Path | None:
    """The shared library of allocator ``name`` on this machine, or None."""
    for library in ALLOCATORS[name].libraries:
        for folder in LIBRARY_FOLDERS:
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


ALLOCATOR_KNOB = Knob(
    name="allocator",
    default="glibc",
    values=tuple(ALLOCATORS),
    layer=Layer.ALLOCATOR,
    exact=True,
    summary="memory allocator, and whether it keeps its pages",
    parse=one_of(*ALLOCATORS),
)

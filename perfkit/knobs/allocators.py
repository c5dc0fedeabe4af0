"""Memory allocators: which are installed, and how a process is started under them."""

from __future__ import annotations

import ctypes.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
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

KEEP_PAGES = "background_thread:true,dirty_decay_ms:10000,muzzy_decay_ms:0"
"""Makes jemalloc keep freed pages for some ten seconds (jemalloc(3), ``opt.dirty_decay_ms``).

A program takes the pages of the execution before within milliseconds. What the compiler and the
loading of weights have freed is not needed again: kept for good, it made the peak of AlphaFold 3
with 256 tokens 2.24 instead of 1.81 GB. A thread of jemalloc's gives the pages back; without it,
only further allocations of the same threads would.
"""


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
        Debian package that installs the library; empty where there is none to name.
    distribution
        Python distribution on PyPI that installs the library; empty where there is none.
    """

    libraries: tuple[str, ...]
    variables: Mapping[str, str]
    package: str = ""
    distribution: str = ""

    @property
    def remedy(self) -> str:
        """What to install, with the command."""
        if self.distribution:
            return (
                f"install the Python package {self.distribution} (pip install {self.distribution})"
            )
        return f"install the Debian package {self.package} (apt install {self.package})"


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
    "mimalloc": Allocator(
        ("libmimalloc.so.3",),
        # Milliseconds before freed pages are given back (mimalloc 3, "Environment Options"); with
        # -1 they never are, even on request. Huge pages are its default where the kernel gives
        # them on request. Objects above 2 GiB come from the system every time: the option
        # "arena_max_object_size" goes no higher.
        {"MIMALLOC_PURGE_DELAY": "10000"},
        distribution="cmeel-mimalloc",
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


def distribution_files(distribution: str) -> tuple[Path, ...]:
    """Paths of the files that an installed Python distribution has; empty if it is not installed.

    Parameters
    ----------
    distribution
        Name of the distribution.
    """
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return ()
    return tuple(Path(str(found.locate_file(file))) for file in found.files or ())


@cache
def library_path(
    name: str,
    folders: Sequence[str] = LIBRARY_FOLDERS,
    files_of: Callable[[str], Sequence[Path]] = distribution_files,
) -> Path | None:
    """The shared library of allocator ``name``, or None where it is not installed.

    Parameters
    ----------
    name
        Name of the allocator.
    folders
        Folders to look in, in this order, after the Python distribution of the allocator and
        before the loader's own folders.
    files_of
        Returns the paths of the files of a Python distribution. A path with a blank or a colon
        cannot be preloaded, and is passed over.
    """
    allocator = ALLOCATORS[name]
    packaged = files_of(allocator.distribution) if allocator.distribution else ()
    # LD_PRELOAD separates libraries by blanks and colons, and knows no quotes (ld.so(8)).
    loadable = [file for file in packaged if not re.search(r"[\s:]", str(file))]
    for library in allocator.libraries:
        in_folders = (Path(folder, library) for folder in folders)
        for path in (*(file for file in loadable if file.name == library), *in_folders):
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


def not_installed(name: str) -> str:
    """One sentence: allocator ``name`` is not installed, and how to get it."""
    return f"allocator {name!r} is not installed on this machine; {ALLOCATORS[name].remedy}"


def missing_allocators(host: Host) -> tuple[str, ...]:
    """One sentence per library of an allocator that a machine lacks, most promising first.

    Parameters
    ----------
    host
        The machine.
    """
    searched = ALLOCATOR_KNOB.search
    values = () if searched is None else searched.values
    missing: dict[str, list[str]] = {}
    for name in values:
        if ALLOCATORS[name].libraries and name not in host.allocators:
            missing.setdefault(ALLOCATORS[name].remedy, []).append(name)
    return tuple(
        f"allocator {names[0]} is not installed and not tried; {remedy}"
        if len(names) == 1
        else f"allocators {' and '.join(names)} are not installed and not tried; {remedy}"
        for remedy, names in missing.items()
    )


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
        (
            *("jemalloc-hugepages", "mimalloc", "tcmalloc", "jemalloc"),
            *("glibc-keep", "glibc-hugepages"),
        ),
        order=20,
        bundle=Bundle.MINOR,
        useful=_installed,
    ),
)

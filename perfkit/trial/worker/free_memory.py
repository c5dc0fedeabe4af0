"""Gives memory that this process has freed back to the system."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable

_ALL_ARENAS = 4096
"""``MALLCTL_ARENAS_ALL`` of jemalloc(3): its arenas are purged one and all."""


def give_back_free_memory() -> None:
    """Let the allocator of this process give back the pages that it holds and nothing uses.

    The compiler and the loading of weights leave up to half a gigabyte, which an allocator may keep
    for good. The memory of a prediction would then depend on whether its program came from a cache.
    """
    process = ctypes.CDLL(None)
    for symbol, call in _CALLS.items():
        # Only the allocator that is in use has its symbol, and glibc is always there.
        with contextlib.suppress(AttributeError):
            call(getattr(process, symbol))
            return


_CALLS: dict[str, Callable[[ctypes._NamedFuncPointer], object]] = {
    "mallctl": lambda mallctl: mallctl(f"arena.{_ALL_ARENAS}.purge".encode(), None, None, None, 0),
    "mi_collect": lambda collect: collect(ctypes.c_bool(True)),
    "MallocExtension_ReleaseFreeMemory": lambda release: release(),
    "malloc_trim": lambda trim: trim(ctypes.c_size_t(0)),
}
"""Function of an allocator -> how it is called: jemalloc, mimalloc, tcmalloc, glibc."""

"""Keeps the compiled library in the user's cache, and loads it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from perfkit.builds import installed_build
from perfkit.cache import KEY_DIGITS, Entry, cached_file
from perfkit.errors import ConfigurationRefusedError, UserError
from perfkit.files import JsonData, short_digest
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.kernels.build.compiler import (
    OPTIONS,
    Compiler,
    command_here,
    compile_library,
    identified,
)
from perfkit.kernels.build.headers import SOURCE_FOLDER, headers_folder
from perfkit.kernels.build.levels import chosen_level, options_of
from perfkit.kernels.kernel import TARGET_PREFIX, Kernel
from perfkit.kernels.registry import KERNELS

LOCK_LIMIT_S = 600.0
"""Longest time in seconds to wait for another process that compiles. After that this process
compiles too, which costs time and does no harm."""

_POLL_S = 0.1

_registered: dict[str, str] = {}
"""Target -> the name under which the library that was loaded last registered it."""

_loaded: set[str] = set()
"""Names that this process has registered with XLA."""

_lock = threading.Lock()


@dataclass(frozen=True)
class Recipe:
    """Everything that a library is built from.

    Attributes
    ----------
    kernels
        The kernels in the library.
    folder
        Folder of their C++ files.
    level
        Instruction-set level, see :data:`perfkit.kernels.build.levels.LEVELS`.
    compiler
        The compiler.
    """

    kernels: tuple[Kernel, ...]
    folder: Path
    level: str
    compiler: Compiler

    @property
    def sources(self) -> list[Path]:
        """The C++ files without duplicates."""
        return [self.folder / name for name in dict.fromkeys(k.source for k in self.kernels)]

    @property
    def handlers(self) -> list[str]:
        """Symbols of all handlers."""
        return [handler for kernel in self.kernels for handler in kernel.handlers]

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the compiler."""
        return (*OPTIONS, *options_of(self.level))

    @property
    def include_folders(self) -> list[Path]:
        """Folders of headers."""
        return list(dict.fromkeys((self.folder, SOURCE_FOLDER, headers_folder())))

    @property
    def depends_on(self) -> dict[str, JsonData]:
        """Key of the library: all files that may be included, the compiler, options and jaxlib."""
        contents: dict[str, JsonData] = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in dict.fromkeys((SOURCE_FOLDER, self.folder))
            for path in sorted([*folder.rglob("*.h"), *self.sources])
            if path.is_relative_to(folder)
        }
        return {
            "sources": contents,
            "handlers": self.handlers,
            "compiler": [self.compiler.version, *self.compiler.command[1:]],
            "options": self.options,
            "level": self.level,
            "machine": platform.machine(),
            "jaxlib": installed_build("jaxlib"),
        }


def recipe_here(kernels: Sequence[Kernel] = KERNELS, folder: Path = SOURCE_FOLDER) -> Recipe:
    """The recipe of a library for this machine.

    Raises
    ------
    UserError
        This machine cannot have native kernels, or :data:`~perfkit.kernels.build.levels.\
LEVEL_VARIABLE` is wrong.
    ConfigurationRefusedError
        The compiler does not answer.
    """
    reason = why_no_kernels()
    level, command = chosen_level(), command_here()
    if reason is not None or level is None or command is None:
        raise UserError(f"there are no native kernels here: {reason}")
    return Recipe(tuple(kernels), folder, level, identified(command))


def built(recipe: Recipe) -> Path:
    """The library's file in the cache, after a check; it is compiled if it is missing or damaged.

    Several processes can call this at once: one compiles, the others wait.

    Raises
    ------
    ConfigurationRefusedError
        The sources do not compile.
    NotWrittenError
        The cache cannot be written.
    """
    entry = Entry("kernels", "library of native kernels", recipe.depends_on)

    def write(stream: BinaryIO) -> JsonData:
        stream.write(
            compile_library(
                recipe.compiler,
                recipe.sources,
                recipe.include_folders,
                recipe.options,
                recipe.handlers,
            )
        )
        return None

    with _one_at_a_time(entry.path.with_suffix(".lock")):
        path, _ = cached_file(entry, ".so", write)
    return path


def load(recipe: Recipe) -> dict[str, str]:
    """Build a library if necessary, load it and register its handlers with XLA.

    The registered names end in a digest of what the library was built from. A compiled program
    holds these names, so that neither JAX's compilation cache nor a kept executable ever runs one
    library's program with another.

    Parameters
    ----------
    recipe
        What the library is built from.

    Returns
    -------
    dict
        Target, for example ``perfkit.RowSum``, -> registered name.

    Raises
    ------
    ConfigurationRefusedError
        The sources do not compile, or the library cannot be loaded.
    NotWrittenError
        The cache cannot be written.
    """
    import jax

    suffix = short_digest(recipe.depends_on, KEY_DIGITS)
    names = {
        f"{TARGET_PREFIX}{each}": f"{TARGET_PREFIX}{each}.{suffix}" for each in recipe.handlers
    }
    with _lock:
        if not set(names.values()) <= set(_loaded):
            path = built(recipe)
            try:
                library = ctypes.CDLL(str(path))
                symbols = [getattr(library, each) for each in recipe.handlers]
            except (OSError, AttributeError) as error:
                raise ConfigurationRefusedError(
                    f"the library of native kernels cannot be loaded ({error})"
                ) from error
            for name, symbol in zip(names.values(), symbols, strict=True):
                if name not in _loaded:
                    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(symbol), platform="cpu")
                    _loaded.add(name)
        _registered.update(names)
    return names


def registered_name(target: str) -> str:
    """The name under which a target is registered; perfkit's own library is loaded if necessary.

    Raises
    ------
    UserError
        This machine cannot have native kernels.
    ConfigurationRefusedError
        The library cannot be built or loaded.
    """
    if target not in _registered:
        load(recipe_here())
    return _registered[target]


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock on a file while the library is built, where the file system has locks.

    Nothing but time depends on the lock: the cache is written atomically.
    """
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if descriptor is not None:
            _wait_for_lock(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _wait_for_lock(descriptor: int) -> None:
    end = time.monotonic() + LOCK_LIMIT_S
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL_S)
        except OSError:
            return
        else:
            return

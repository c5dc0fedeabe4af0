"""Small file systems in memory, which only root can mount, and a quota for one process."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

QUOTA = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t write(int file, const void *bytes, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  static size_t left;
  struct stat state;
  if (!real) {
    real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    left = (size_t)atol(getenv("QUOTA_BYTES"));
  }
  if (fstat(file, &state) || !S_ISREG(state.st_mode)) return real(file, bytes, size);
  if (left == 0) return errno = EDQUOT, -1;
  ssize_t written = real(file, bytes, size < left ? size : left);
  if (written > 0) left -= (size_t)written;
  return written;
}
"""
"""Takes the place of ``write``: files take some bytes, and then give the error of a quota."""


def preloaded(folder: Path, name: str, source: str) -> Path:
    """Compile a library that takes the place of a function of libc; skips without a compiler.

    Parameters
    ----------
    folder
        Existing folder for the library.
    name
        Name of the library.
    source
        C code of the function.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    code, library = folder / f"{name}.c", folder / f"{name}.so"
    code.write_text(source)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(code), "-ldl"]
    subprocess.run(command, check=True)
    return library


def quota_variables(folder: Path, limit_bytes: int) -> dict[str, str]:
    """Variables under which each process can write ``limit_bytes`` to files.

    A quota of the kernel would need another file system and root.

    Parameters
    ----------
    folder
        Existing folder for a library.
    limit_bytes
        Bytes that can be written to files.
    """
    return {
        "LD_PRELOAD": str(preloaded(folder, "quota", QUOTA)),
        "QUOTA_BYTES": str(limit_bytes),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of a size on a new folder; skips where that is not possible.

    Parameters
    ----------
    folder
        Folder to create and to mount on.
    size_bytes
        Size of the file system.
    """
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={size_bytes}", "perfkit-test"):
        yield folder


@contextmanager
def _mounted(folder: Path, *arguments: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder.mkdir()
    done = subprocess.run(
        ["mount", *arguments, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.splitlines()[0]}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> bool:
    """Mount a small disk again, without the permission to write; False while a file is written."""
    command = ["mount", "-o", "remount,ro", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(folder: Path, left_bytes: int = 0) -> None:
    """Fill a file system with one file, up to some bytes."""
    free = os.statvfs(folder)
    with (folder / "filling").open("wb") as stream:
        stream.write(b"\0" * max(0, free.f_bavail * free.f_frsize - left_bytes))

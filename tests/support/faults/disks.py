"""Small file systems in memory, which only root can mount."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PR_CAPBSET_DROP = 24
CAP_SYS_RESOURCE = 24
"""Numbers of prctl(2) and capabilities(7). With this right, quotas do not count."""


@contextmanager
def small_disk(folder: Path, size_bytes: int, options: str = "") -> Iterator[Path]:
    """Mount a file system of a size on a new folder; skips where that is not possible.

    Parameters
    ----------
    folder
        Folder to create and to mount on.
    size_bytes
        Size of the file system.
    options
        Further options of ``mount``, separated by commas.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder.mkdir()
    chosen = ",".join(filter(None, (f"size={size_bytes}", options)))
    command = ["mount", "-t", "tmpfs", "-o", chosen, "perfkit-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    """Mount a small disk again, without the permission to write."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def without_quota_right() -> Callable[[], None]:
    """A function that gives up the right to exceed quotas, for a process that is about to start."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def give_up() -> None:
        prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)

    return give_up


def fill(folder: Path, left_bytes: int = 0) -> None:
    """Fill a file system with one file, up to some bytes."""
    free = os.statvfs(folder)
    with (folder / "filling").open("wb") as stream:
        stream.write(b"\0" * max(0, free.f_bavail * free.f_frsize - left_bytes))

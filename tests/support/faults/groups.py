"""Control groups with limits, which only root can make."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from perfkit.records.cgroups import CGROUP_ROOT

PERIOD_US = 100_000


@contextmanager
def memory_limited(limit_bytes: int) -> Iterator[Path]:
    """A new control group whose processes may use ``limit_bytes`` of memory together."""
    first = {"memory.limit_in_bytes": str(limit_bytes)}
    second = {"memory.max": str(limit_bytes), "memory.swap.max": "0"}
    with _group("memory", first, second) as folder:
        yield folder


@contextmanager
def cpu_limited(cpus: float) -> Iterator[Path]:
    """A new control group whose processes may use the time of ``cpus`` CPUs."""
    quota = str(round(cpus * PERIOD_US))
    first = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": quota}
    second = {"cpu.max": f"{quota} {PERIOD_US}"}
    with _group("cpu", first, second) as folder:
        yield folder


@contextmanager
def _group(controller: str, first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Path]:
    """A group with the settings of version 1 or 2, whichever this machine has; else a skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a control group")
    folder = CGROUP_ROOT / controller
    settings = first
    if not folder.is_dir():
        folder, settings = CGROUP_ROOT, second
    folder = folder / f"perfkit-test-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
        for name, value in settings.items():
            with contextlib.suppress(FileNotFoundError):
                # A kernel without swap has no limit of it; the other files must be there.
                (folder / name).write_text(value)
        required = next(iter(settings))
        if not (folder / required).exists():
            raise FileNotFoundError(required)
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group with a limit of {controller} can be made here ({error})")
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a group, whose last process may need a moment to end."""
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return

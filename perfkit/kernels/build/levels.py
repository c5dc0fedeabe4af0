"""Instruction-set levels that the kernels are compiled for, and the level of this CPU."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError, unknown_name

LEVEL_VARIABLE = "PERFKIT_KERNELS_ISA"
"""Environment variable that forces a lower level than the CPU has."""

_CPUINFO = Path("/proc/cpuinfo")

_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18
"""Linux on x86-64 lets a process use AMX tiles only after this system call
(Documentation/arch/x86/xstate.rst)."""


@dataclass(frozen=True)
class Level:
    """Instruction sets that code is compiled for.

    Attributes
    ----------
    name
        The level's name.
    needs
        Flags of ``/proc/cpuinfo`` that this level needs in addition to the lower ones.
    options
        Options of the compiler in addition to those of the lower levels.
    """

    name: str
    needs: frozenset[str]
    options: tuple[str, ...]


LEVELS = (
    Level(
        "avx2",
        frozenset({"avx2", "fma", "f16c", "bmi2"}),
        ("-mavx2", "-mfma", "-mf16c", "-mbmi2"),
    ),
    Level(
        "avx512",
        frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
        ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"),
    ),
    Level("avx512_bf16", frozenset({"avx512_bf16"}), ("-mavx512bf16",)),
    Level("amx", frozenset({"amx_tile", "amx_bf16"}), ("-mamx-tile", "-mamx-bf16")),
)
"""All levels in ascending order. Each includes the lower ones."""


def options_of(level: str) -> tuple[str, ...]:
    """Options of the compiler for a level and all lower ones."""
    names = [each.name for each in LEVELS]
    return tuple(option for each in LEVELS[: names.index(level) + 1] for option in each.options)


def levels_of(flags: frozenset[str]) -> tuple[str, ...]:
    """The levels that a CPU has, in ascending order.

    Parameters
    ----------
    flags
        Its flags as ``/proc/cpuinfo`` names them.
    """
    found: list[str] = []
    for level in LEVELS:
        if not level.needs <= flags:
            break
        found.append(level.name)
    return tuple(found)


@functools.cache
def levels_here() -> tuple[str, ...]:
    """The levels that this process can use, in ascending order; empty on other architectures."""
    if platform.machine() != "x86_64":
        return ()
    levels = levels_of(_cpu_flags())
    return levels[:-1] if levels[-1:] == ("amx",) and not _tiles_permitted() else levels


def chosen_level(environment: Mapping[str, str] = os.environ) -> str | None:
    """The level that the kernels are compiled for: the highest, or what the user forces.

    Parameters
    ----------
    environment
        Environment variables; :data:`LEVEL_VARIABLE` forces a level.

    Returns
    -------
    str or None
        The level; None if the CPU has none.

    Raises
    ------
    UserError
        The forced level is unknown, or the CPU does not have it.
    """
    here = levels_here()
    forced = forced_level(environment)
    if forced is None:
        return here[-1] if here else None
    names = [level.name for level in LEVELS]
    if forced not in names:
        raise unknown_name(f"value of {LEVEL_VARIABLE}", forced, names)
    if forced not in here:
        raise UserError(
            f"{LEVEL_VARIABLE} is {forced}, which this CPU does not have; "
            + (f"it has {', '.join(here)}" if here else "unset it")
        )
    return forced


def forced_level(environment: Mapping[str, str] = os.environ) -> str | None:
    """The level that the user forces, without a check; None if the user forces none."""
    return environment.get(LEVEL_VARIABLE) or None


def _cpu_flags() -> frozenset[str]:
    """Flags of the first CPU, as the kernel lists them; empty if they cannot be read."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    listed = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(listed.partition(":")[2].split())


def _tiles_permitted() -> bool:
    """Whether the operating system lets this process use AMX tiles; asks for the permission."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer: int = libc.syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA)
    return answer == 0

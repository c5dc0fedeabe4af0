"""The machine's fingerprint, and what on it makes measurements untrustworthy."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from perfkit.builds import installed_build
from perfkit.files import Plain, short_digest
from perfkit.records.cgroups import CgroupLimits, cgroup_limits
from perfkit.records.restrictions import restriction_sentences, restrictions
from perfkit.version import __version__

INSTRUCTION_SETS = (
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "sve",
)
"""CPU flags that decide how fast a model runs; the rest of the list is left out."""

PACKAGES = (
    "jax",
    "jaxlib",
    "numpy",
    "dm-haiku",
    "tokamax",
    "alphafold3",
    "alphafold3-colabfold",
    "weathernext",
)
"""Distributions whose version may change time or answer."""


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _cpu_information() -> dict[str, str]:
    text = _read("/proc/cpuinfo") or ""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _chosen(text: str | None) -> str | None:
    """The bracketed word of a sysfs choice such as ``always [madvise] never``."""
    if text is None or "[" not in text:
        return text
    return text.split("[")[1].split("]")[0]


def _cgroup_facts(limits: CgroupLimits) -> dict[str, str | None]:
    """The limits in force; where there is none, what the topmost group of version 2 says."""
    cpus, memory_bytes = limits.cpus, limits.memory_bytes
    cpu_max, memory_max = _read("/sys/fs/cgroup/cpu.max"), _read("/sys/fs/cgroup/memory.max")
    return {
        "cgroup_cpu_max": cpu_max if cpus is None else f"{cpus:g} CPUs",
        "cgroup_memory_max": memory_max if memory_bytes is None else str(memory_bytes),
    }


def fingerprint() -> dict[str, Any]:
    """What the machine is: CPU, memory, kernel, and the settings that change timing."""
    cpu = _cpu_information()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    facts: dict[str, Any] = {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "cpu_family": cpu.get("cpu family"),
        "cpu_model": cpu.get("model"),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
        "logical_cpus": os.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "transparent_hugepages": _chosen(_read("/sys/kernel/mm/transparent_hugepage/enabled")),
        **_cgroup_facts(cgroup_limits()),
    }
    digest = short_digest(facts)
    return facts | {"digest": digest, "host": platform.node()}


def available_memory_bytes() -> int:
    """Memory that a new process may use: what is free, and what every limit leaves of it."""
    groups = cgroup_limits()
    own = restrictions(groups)
    bounds = (groups.memory_left_bytes, own.address_bytes, own.data_bytes)
    available: int = psutil.virtual_memory().available
    return min([available, *(bound for bound in bounds if bound is not None)])


def restrictions_here() -> tuple[dict[str, float | int | str], list[str]]:
    """What this process is allowed, and a sentence for each limit that matters to a trial."""
    found = restrictions()
    return found.as_dict(), restriction_sentences(found, psutil.virtual_memory().total)


def versions() -> dict[str, str | None]:
    """Versions of Python, perfkit (with its commit) and the packages that matter."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "perfkit": __version__,
        "perfkit_commit": _commit(),
    }
    return found | _package_versions()


def _package_versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def setting_digest() -> str:
    """Digest of machine and packages: what was measured under another one is another study."""
    same = [fingerprint()["digest"], platform.python_version(), sorted(_package_versions().items())]
    return short_digest(same)


def answers_digest() -> str:
    """Digest of what a model's answer follows from here, in addition to its input and weights.

    These are the builds of the installed packages, and the CPU with the instruction sets that XLA
    compiles for.
    """
    machine = fingerprint()
    same: list[Plain] = [
        machine["cpu"],
        machine["instruction_sets"],
        [[name, installed_build(name)] for name in PACKAGES],
    ]
    return short_digest(same)


@cache
def _commit() -> str | None:
    """Perfkit's own commit; None where it is not run from a checkout of its own.

    Asked for once: what is loaded stays the same, whatever happens to the checkout meanwhile.
    """
    folder = Path(__file__).parents[1]
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=12")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None if asked.returncode == 0 else None

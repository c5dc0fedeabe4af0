"""Fingerprint of the machine, versions of installed packages, and available memory."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from perfkit.builds import installed_build
from perfkit.files import JsonData, short_digest
from perfkit.records.cgroups import CgroupLimits, cgroup_limits
from perfkit.records.findings import MachineRecord
from perfkit.records.interpreter import Interpreter
from perfkit.records.restrictions import Restrictions, restriction_sentences, restrictions
from perfkit.version import __version__

CPU_INFORMATION = Path("/proc/cpuinfo")

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
"""CPU flags that decide how fast a model runs; all others are ignored."""

MODEL_PACKAGES = ("alphafold3", "alphafold3-colabfold", "weathernext")
"""Distributions of models. A registry may offer another package under the name of one that was
installed from elsewhere."""

PACKAGES = ("jax", "jaxlib", "numpy", "dm-haiku", "tokamax", *MODEL_PACKAGES)
"""Distributions whose version can change the time or the answer of a trial."""


NODE_VARIABLE = "SLURMD_NODENAME"
"""Variable in which Slurm names the node of a job."""


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _first_cpu(cpu_information: Path) -> dict[str, str]:
    """The entry of the first CPU in a file such as ``/proc/cpuinfo``."""
    text = _read(cpu_information) or ""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _chosen(text: str | None) -> str | None:
    """The chosen word of a sysfs setting such as ``always [madvise] never``."""
    if text is None or "[" not in text:
        return text
    return text.split("[")[1].split("]")[0]


def _cgroup_facts(limits: CgroupLimits) -> dict[str, str | None]:
    """The limits in force; without one, the text of the root group of version 2."""
    cpus, memory_bytes = limits.cpus, limits.memory_bytes
    cpu_max, memory_max = _read("/sys/fs/cgroup/cpu.max"), _read("/sys/fs/cgroup/memory.max")
    return {
        "cgroup_cpu_max": cpu_max if cpus is None else f"{cpus:g} CPUs",
        "cgroup_memory_max": memory_max if memory_bytes is None else str(memory_bytes),
    }


def fingerprint(
    cpu_information: Path = CPU_INFORMATION, limits: CgroupLimits | None = None
) -> MachineRecord:
    """CPU, memory and kernel of this machine, and the settings that change timing.

    Parameters
    ----------
    cpu_information
        File with the kernel's description of the CPUs.
    limits
        Limits of the control groups of this process; read from the kernel by default.
    """
    cpu = _first_cpu(cpu_information)
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    facts: dict[str, JsonData] = {
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
        **_cgroup_facts(limits or cgroup_limits()),
    }
    return MachineRecord.model_validate(
        facts
        | {
            "digest": short_digest(facts),
            "host": platform.node(),
            "node": os.environ.get(NODE_VARIABLE),
        }
    )


def cpu_identity(cpu_information: Path = CPU_INFORMATION) -> dict[str, JsonData]:
    """What decides which code a compiler makes for this CPU: its model and all of its flags.

    Parameters
    ----------
    cpu_information
        File with the kernel's description of the CPUs.
    """
    cpu = _first_cpu(cpu_information)
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer")
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    return {**{name: cpu.get(name) for name in names}, "flags": sorted(flags)}


def available_memory_bytes() -> int:
    """Memory that a new process can use: free memory, within every limit on this process."""
    groups = cgroup_limits()
    return bounded_memory_bytes(psutil.virtual_memory().available, groups, restrictions(groups))


def total_memory_bytes() -> int:
    """Memory that all processes of this control group can use together, used or not."""
    total, limit = psutil.virtual_memory().total, cgroup_limits().memory_bytes
    return int(total if limit is None else min(total, limit))


def bounded_memory_bytes(free_bytes: int, groups: CgroupLimits, own: Restrictions) -> int:
    """The smallest of the free memory and the memory that the limits leave.

    Linux ignores ``ulimit -m``, so :attr:`Restrictions.resident_bytes` has no influence.

    Parameters
    ----------
    free_bytes
        Free memory of the machine.
    groups
        Limits of the control groups of a process.
    own
        Resource limits of the process.
    """
    bounds = (groups.memory_left_bytes, own.address_bytes, own.data_bytes)
    return min([free_bytes, *(bound for bound in bounds if bound is not None)])


def restrictions_here() -> tuple[Restrictions, list[str]]:
    """The limits on this process, and one sentence for each limit that matters to a trial."""
    found = restrictions()
    return found, restriction_sentences(found, psutil.virtual_memory().total)


def versions(interpreter: Interpreter | None = None) -> dict[str, str | None]:
    """Versions of Python, perfkit (with its commit) and :data:`PACKAGES`; None where unknown.

    Parameters
    ----------
    interpreter
        The Python that runs a trial; None for this one.
    """
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "perfkit": __version__,
        "perfkit_commit": _commit(),
    }
    if interpreter is None:
        return found | package_versions()
    return found | {"python": interpreter.python_version} | dict(interpreter.versions)


def package_versions() -> dict[str, str | None]:
    """Versions of those of :data:`PACKAGES` that are installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def setting_digest() -> str:
    """Digest of machine and packages; trials of one study have the same one."""
    packages = sorted(package_versions().items())
    return short_digest([fingerprint().digest, platform.python_version(), packages])


def answers_digest(interpreter: Interpreter | None = None) -> str:
    """Digest of the parts of the environment that a model's answer depends on.

    These are the builds of the installed packages, and the CPU with the instruction sets that XLA
    compiles for. Input and weights are not included.

    Parameters
    ----------
    interpreter
        The Python that computes the answer; None for this one.
    """
    machine = fingerprint()
    builds = None if interpreter is None else dict(interpreter.builds)
    same: list[JsonData] = [
        machine.cpu,
        machine.instruction_sets,
        [
            [name, installed_build(name) if builds is None else builds.get(name)]
            for name in PACKAGES
        ],
    ]
    return short_digest(same)


@cache
def _commit() -> str | None:
    """The commit of perfkit; None where perfkit does not run from a Git checkout.

    Read once per process: the loaded code does not change when the checkout does.
    """
    folder = Path(__file__).parents[1]
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=12")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        completed = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return completed.stdout.strip() or None if completed.returncode == 0 else None

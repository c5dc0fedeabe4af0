"""What slows CPUs down: heat, a limited frequency, a CPU quota, power from a battery.

The files are described in the kernel's documentation: ``thermal_throttle`` of the CPUs
(``ABI/stable/sysfs-devices-system-cpu``), ``ABI/testing/sysfs-class-power``, and ``cpu.stat`` of
control groups. A virtual machine shows none of them except the last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perfkit.records.cgroups import CGROUP_ROOT, PROC, lineage

CPU_FOLDER = Path("/sys/devices/system/cpu")
POWER_FOLDER = Path("/sys/class/power_supply")

SLOWED = 0.99
"""Share of the largest frequency below which a limit counts; drivers round frequencies."""


@dataclass(frozen=True)
class Throttling:
    """What has held CPUs back since boot, or since a control group was made.

    Attributes
    ----------
    hot
        How often a core or its package was slowed down because it was too hot.
    quota_s
        Seconds that the CPUs of a control group waited for their quota, added up over CPUs.
    """

    hot: int = 0
    quota_s: float = 0.0

    def since(self, before: Throttling) -> Throttling:
        """The difference to an earlier reading; a counter that was reset counts as zero."""
        return Throttling(max(0, self.hot - before.hot), max(0.0, self.quota_s - before.quota_s))

    def plus(self, other: Throttling) -> Throttling:
        """The sum of two differences."""
        return Throttling(self.hot + other.hot, self.quota_s + other.quota_s)


def throttling(
    cpus: Iterable[int] | None = None,
    cpu_folder: Path = CPU_FOLDER,
    cgroup_root: Path = CGROUP_ROOT,
    proc: Path = PROC,
) -> Throttling:
    """What has held back the CPUs and the control groups of this process so far.

    Parameters
    ----------
    cpus
        The CPUs; by default those that this process may use.
    cpu_folder, cgroup_root, proc
        Folders of the kernel.
    """
    allowed = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
    folders = [cpu_folder / f"cpu{number}" / "thermal_throttle" for number in allowed]
    cores = sum(_number(folder / "core_throttle_count") for folder in folders)
    # All CPUs of a package show the same count.
    packages = max((_number(folder / "package_throttle_count") for folder in folders), default=0)
    groups = lineage("cpu", "self", cgroup_root, proc)
    return Throttling(cores + packages, sum(group.waited_for_quota_s() for group in groups))


def power_sentences(cpu_folder: Path = CPU_FOLDER, power_folder: Path = POWER_FOLDER) -> list[str]:
    """One sentence for each setting of the machine that slows its CPUs down now.

    Parameters
    ----------
    cpu_folder, power_folder
        Folders of the kernel.
    """
    sentences = []
    if on_battery(power_folder):
        sentences.append(
            "the machine runs on its battery, which slows CPUs down: connect it to the mains"
        )
    limited = limited_frequency(cpu_folder)
    if limited is not None:
        sentences.append(
            f"the CPUs are limited to {limited:.0%} of their frequency (scaling_max_freq)"
        )
    return sentences


def on_battery(power_folder: Path = POWER_FOLDER) -> bool:
    """Whether a battery of the machine is being discharged and no other supply is connected.

    Parameters
    ----------
    power_folder
        Folder of the power supplies.
    """
    supplies = sorted(power_folder.iterdir()) if power_folder.is_dir() else []
    # A battery of a mouse or a keyboard has the scope Device.
    own = [each for each in supplies if _text(each / "scope") != "Device"]
    batteries = [each for each in own if _text(each / "type") == "Battery"]
    connected = any(_text(each / "online") == "1" for each in own if each not in batteries)
    discharging = any(_text(each / "status") == "Discharging" for each in batteries)
    return discharging and not connected


def limited_frequency(cpu_folder: Path = CPU_FOLDER) -> float | None:
    """The largest frequency that is set for a CPU, as a share of the largest that it has.

    Parameters
    ----------
    cpu_folder
        Folder of the CPUs.

    Returns
    -------
    float or None
        The smallest share of all CPUs; None if none is limited, or nothing is known.
    """
    shares = []
    for folder in cpu_folder.glob("cpufreq/policy*"):
        most, possible = _number(folder / "scaling_max_freq"), _number(folder / "cpuinfo_max_freq")
        if most and possible:
            shares.append(most / possible)
    least = min(shares, default=1.0)
    return least if least < SLOWED else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0

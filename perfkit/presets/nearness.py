"""How near the measurements behind a preset are to this machine and to the size asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from perfkit.knobs.host import this_host
from perfkit.knobs.knob import Host
from perfkit.models import get_model
from perfkit.packages import measured_package
from perfkit.presets.known import KnownPreset
from perfkit.records.findings import MachineRecord
from perfkit.records.machine import fingerprint, package_versions

SAME_CPU, SAME_FAMILY, OTHER_FAMILY = 0, 1, 2
"""Distances of CPUs: same family and model number, same family, another or an unknown family."""


@dataclass(frozen=True)
class Here:
    """The machine and the packages that a preset is wanted for.

    Attributes
    ----------
    host
        Instruction sets, CPUs and allocators.
    machine
        Fingerprint, for the name and the family of the CPU.
    versions
        Installed packages -> version.
    """

    host: Host
    machine: MachineRecord
    versions: Mapping[str, str | None]


def here() -> Here:
    """This machine, and the packages that are installed on it."""
    return Here(this_host(), fingerprint(), package_versions())


@dataclass(frozen=True, order=True)
class Distance:
    """Distance of a measurement, compared field by field: a later one only breaks ties.

    Instruction sets come first, because they decide which values can gain anything. The size comes
    after the number of CPUs: padding, which depends on the size, is saved by the same values at
    every size.

    Attributes
    ----------
    instruction_sets
        Number of instruction sets that only one of the two CPUs has. All that this CPU has, if the
        file states none and the CPUs have different names.
    cpu
        :data:`SAME_CPU`, :data:`SAME_FAMILY` or :data:`OTHER_FAMILY`.
    cpus
        Absolute binary logarithm of the ratio of the numbers of CPUs; infinite if unknown.
    size
        Absolute binary logarithm of the ratio of the sizes; infinite if unknown.
    versions
        Number of packages that are installed here in another version than the measured one.
    """

    instruction_sets: int
    cpu: int
    cpus: float
    size: float
    versions: int

    @property
    def same(self) -> bool:
        """Whether machine, size and packages are those of the measurement."""
        return self == Distance(0, SAME_CPU, 0.0, 0.0, 0)


def distance(preset: KnownPreset, size: int, here: Here) -> Distance:
    """The distance of a preset's measurements from a machine and a size.

    Parameters
    ----------
    preset
        The preset.
    size
        Size of the input in the model's unit.
    here
        The machine.
    """
    there = preset.measured.machine
    lacking, further = instruction_set_differences(preset, here)
    if there.cpu_family is None:
        cpu = SAME_CPU if _same_name(preset, here) else OTHER_FAMILY
    elif there.cpu_family != here.machine.cpu_family:
        cpu = OTHER_FAMILY
    else:
        cpu = SAME_CPU if there.cpu_model == here.machine.cpu_model else SAME_FAMILY
    return Distance(
        instruction_sets=len(lacking) + len(further),
        cpu=cpu,
        cpus=_octaves(preset.measured.available_cpus, here.host.cpus),
        size=_octaves(preset.measured.size, size),
        versions=len(version_differences(preset, here)),
    )


def instruction_set_differences(preset: KnownPreset, here: Here) -> tuple[list[str], list[str]]:
    """Instruction sets that only the measured CPU has, and those that only this CPU has."""
    there = frozenset(preset.measured.machine.instruction_sets)
    if not there and _same_name(preset, here):
        return [], []
    own = here.host.instruction_sets
    return sorted(there - own), sorted(own - there)


def version_differences(preset: KnownPreset, here: Here) -> dict[str, tuple[str, str]]:
    """Measured and installed version of the packages whose versions differ, by package.

    Where another distribution provides the model's package, both are named with their versions.
    """
    found = {}
    name = get_model(preset.model).package()
    there, own = preset.package, measured_package(name, here.versions)
    if there is not None and own is not None and there.distribution != own.distribution:
        found[name] = (there.text, own.text)
    for name, measured in preset.measured.versions.items():
        installed = here.versions.get(name)
        if installed is not None and installed != measured:
            found[name] = (measured, installed)
    return found


def _same_name(preset: KnownPreset, here: Here) -> bool:
    cpu = preset.measured.machine.cpu
    return cpu is not None and cpu == here.machine.cpu


def _octaves(measured: int | None, wanted: int) -> float:
    return math.inf if measured is None else abs(math.log2(measured / wanted))

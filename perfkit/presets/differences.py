"""How the environment of a measurement differs from this one, in one sentence for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.models import get_model
from perfkit.packages import PROVIDERS, Package, provider_of
from perfkit.presets.advice import cpu_text
from perfkit.presets.known import KnownPreset, MeasuredMachine, read_known_preset
from perfkit.presets.nearness import Here, here
from perfkit.records.findings import MachineRecord

JAXLIB = "jaxlib"
"""The distribution that compiles the models."""


@dataclass(frozen=True)
class Origin:
    """Where something was measured.

    Attributes
    ----------
    title
        What was measured, as the subject of a sentence.
    package
        The package whose code predicted; None where it is unknown.
    jaxlib
        Version of jaxlib; None where it is unknown.
    machine
        The machine; None where its CPU does not matter.
    """

    title: str
    package: Package | None
    jaxlib: str | None
    machine: MachineRecord | None = None


def differences(preset: Path | str, found: Here | None = None) -> list[str]:
    """How this environment differs from the one that a preset was measured in.

    Parameters
    ----------
    preset
        File of the preset.
    found
        This environment; looked up by default.

    Returns
    -------
    list of str
        A sentence that names both environments, if jaxlib, the model's package or the CPU family
        differ. What the file does not state, or is not installed here, is not compared.

    Raises
    ------
    UserError
        The file is no preset, or its measurements cannot be read.
    """
    return preset_differences(read_known_preset(Path(preset)), found)


def preset_differences(preset: KnownPreset, found: Here | None = None) -> list[str]:
    """The same as :func:`differences`, for a preset that has been read."""
    package = provider_of(get_model(preset.model).package())
    found = found or here()
    return environment_differences([_origin(preset)], found.versions, package, found.machine)


def foreign_differences(
    preset: Path | str, versions: Mapping[str, str], machine: MachineRecord
) -> list[str]:
    """The same as :func:`differences`, for the environment of a program of others.

    Parameters
    ----------
    preset
        File of the preset.
    versions
        Versions of the distributions that the program found.
    machine
        The machine that it ran on.
    """
    known = read_known_preset(Path(preset))
    name = get_model(known.model).package()
    found = [one for one in PROVIDERS.get(name, (name,)) if one in versions]
    # With several distributions of one package, that of the last installation is in use.
    package = Package(name, found[0], versions[found[0]]) if len(found) == 1 else None
    return environment_differences([_origin(known)], versions, package, machine)


def environment_differences(
    origins: Sequence[Origin],
    versions: Mapping[str, str | None],
    package: Package | None,
    machine: MachineRecord | None = None,
) -> list[str]:
    """One sentence for each of several measurements whose environment was another one.

    Parameters
    ----------
    origins
        Where they were measured.
    versions
        Versions of the distributions that are installed here.
    package
        The package that provides the model here; None if there is none.
    machine
        This machine; None where its CPU does not matter.
    """
    sentences = []
    for origin in origins:
        there, own = [], []
        if package is not None and origin.package is not None and origin.package != package:
            there.append(origin.package.text)
            own.append(package.text)
        jaxlib = versions.get(JAXLIB)
        if jaxlib is not None and origin.jaxlib is not None and origin.jaxlib != jaxlib:
            there.append(f"jaxlib {origin.jaxlib}")
            own.append(f"jaxlib {jaxlib}")
        if origin.machine and machine and _other_family(origin.machine, machine):
            there.append(f"the CPU {cpu_text(origin.machine)}")
            own.append(f"the CPU {cpu_text(machine)}")
        if there:
            sentences.append(
                f"{origin.title} was measured with {_and(there)}, but here is {_and(own)}: "
                "time and memory may differ"
            )
    return sentences


def _origin(preset: KnownPreset) -> Origin:
    return Origin(
        preset.title,
        preset.package,
        preset.measured.versions.get(JAXLIB),
        _machine(preset.measured.machine),
    )


def _machine(measured: MeasuredMachine) -> MachineRecord:
    return MachineRecord(
        cpu=measured.cpu, cpu_family=measured.cpu_family, cpu_model=measured.cpu_model
    )


def _other_family(there: MachineRecord, own: MachineRecord) -> bool:
    """Whether both families are known and differ."""
    if there.cpu_family is None or own.cpu_family is None:
        return False
    return there.cpu_family != own.cpu_family


def _and(texts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))

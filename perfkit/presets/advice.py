"""Choose a known preset for a machine and a size, and say how far it may be trusted there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import Catalogue
from perfkit.presets.fitting import Fitted, fit_to_host
from perfkit.presets.known import KnownPreset
from perfkit.presets.nearness import (
    OTHER_FAMILY,
    Distance,
    Here,
    distance,
    instruction_set_differences,
    version_differences,
)
from perfkit.records.findings import MachineRecord
from perfkit.units import count_text


@dataclass(frozen=True)
class Advice:
    """A preset for a machine and a size.

    Attributes
    ----------
    preset
        The preset and its measurements.
    distance
        How near the measurements are.
    fitted
        The values that the machine can use, and those that are dropped.
    gain
        What the preset won where it was measured, one sentence.
    trust
        How far that may be trusted here, in sentences.
    nearest_size
        Another preset, of a machine that is farther away, whose size is nearer; None if there is
        none.
    """

    preset: KnownPreset
    distance: Distance
    fitted: Fitted
    gain: str
    trust: tuple[str, ...]
    nearest_size: KnownPreset | None = None


def nearest_first(presets: Iterable[KnownPreset], size: int, here: Here) -> list[KnownPreset]:
    """Presets by their distance; equally near ones by their gain, largest first.

    Parameters
    ----------
    presets
        Presets of one model.
    size
        Size of the input in the model's unit.
    here
        The machine.
    """

    def order(preset: KnownPreset) -> tuple[Distance, float]:
        return distance(preset, size, here), -(preset.measured.speedup or 0.0)

    return sorted(presets, key=order)


def advise(
    presets: Sequence[KnownPreset], size: int, size_unit: str, catalogue: Catalogue, here: Here
) -> Advice:
    """The nearest preset, and what it is worth on a machine at a size.

    Parameters
    ----------
    presets
        Presets of one model, at least one.
    size, size_unit
        Size of the input, and its unit for the sentences, plural.
    catalogue
        Knobs of the model.
    here
        The machine.
    """
    preset = nearest_first(presets, size, here)[0]
    found = distance(preset, size, here)
    fitted = fit_to_host(preset.settings, catalogue, here.host)
    nearer = _nearer_in_size(presets, found, size, here)
    trust = [
        *_differences(preset, found, size, size_unit, here),
        *_uncertainty(preset),
        *(f"Condition of the measurement: {each}." for each in preset.measured.conditions),
        *(f"Dropped: {setting}; {reason}." for setting, reason in fitted.dropped.items()),
    ]
    if nearer is not None:
        trust.append(
            f"Nearer in size, but not in machine: {nearer.title}, {_gain(nearer, size_unit)}"
        )
    trust.append(_conclusion(fitted, found))
    return Advice(preset, found, fitted, _gain(preset, size_unit), tuple(trust), nearer)


def _nearer_in_size(
    presets: Sequence[KnownPreset], nearest: Distance, size: int, here: Here
) -> KnownPreset | None:
    """The preset of the nearest size, if its size is nearer than that of the nearest preset."""

    def order(preset: KnownPreset) -> tuple[float, Distance]:
        found = distance(preset, size, here)
        return found.size, found

    best = min(presets, key=order)
    return best if distance(best, size, here).size < nearest.size else None


def _gain(preset: KnownPreset, size_unit: str) -> str:
    measured = preset.measured
    gain = "a gain that is not stated" if measured.speedup is None else _speedup(preset)
    cpus = measured.available_cpus
    where = [
        f"{measured.size} {size_unit}" if measured.size is not None else "an unknown size",
        *([count_text(cpus, "CPU")] if cpus is not None else []),
        cpu_text(
            MachineRecord(
                cpu=measured.machine.cpu,
                cpu_family=measured.machine.cpu_family,
                cpu_model=measured.machine.cpu_model,
            )
        ),
    ]
    return f"{gain}, measured with {', '.join(where)}."


def _speedup(preset: KnownPreset) -> str:
    measured = preset.measured
    ends = measured.speedup_interval
    interval = "" if ends is None else f" (95 % interval {ends[0]:.2f} to {ends[1]:.2f})"
    return f"{measured.speedup:.2f} times as fast as stock{interval}"


def cpu_text(machine: MachineRecord) -> str:
    """A CPU for a sentence: ``AMD EPYC (family 25, model 17)``."""
    if machine.cpu is None:
        return "an unknown CPU"
    if machine.cpu_family is None:
        return machine.cpu
    return f"{machine.cpu} (family {machine.cpu_family}, model {machine.cpu_model})"


def _differences(
    preset: KnownPreset, found: Distance, size: int, size_unit: str, here: Here
) -> list[str]:
    """One sentence per property that differs from that of the measurement."""
    measured = preset.measured
    sentences = _cpu_differences(preset, found, here)
    if found.cpus:
        sentences.append(
            f"This process may use {count_text(here.host.cpus, 'CPU')}, the trials could use "
            f"{_stated(measured.available_cpus)}; the gain may differ."
        )
    if found.size:
        sentences.append(
            f"The size differs ({size} {size_unit} here, {_stated(measured.size)} measured); the "
            "gain may differ, above all where it comes from padding."
        )
    sentences += [
        f"{name} differs ({installed} here, {there} measured); the gain may differ."
        for name, (there, installed) in version_differences(preset, here).items()
    ]
    return sentences


def _cpu_differences(preset: KnownPreset, found: Distance, here: Here) -> list[str]:
    """Sentences on the CPU and its instruction sets."""
    there, own = preset.measured.machine, cpu_text(here.machine)
    lacking, further = instruction_set_differences(preset, here)
    sentences = []
    if lacking:
        sentences.append(
            f"This CPU lacks {', '.join(lacking)} of the measured one; the gain may be small or "
            "none."
        )
    if further and there.instruction_sets:
        sentences.append(
            f"This CPU also has {', '.join(further)}, so other values may be faster here."
        )
    if found.cpu == OTHER_FAMILY and there.cpu_family is None:
        sentences.append("The preset does not state the CPU that it was measured on.")
    elif found.cpu == OTHER_FAMILY:
        sentences.append(f"This CPU is of another family, {own}; the gain may differ.")
    elif found.cpu:
        sentences.append(f"This CPU is another model of the same family, {own}.")
    return sentences


def _stated(value: int | None) -> str:
    return "an unknown number" if value is None else str(value)


def _uncertainty(preset: KnownPreset) -> list[str]:
    """A sentence on a gain that has no interval."""
    if preset.measured.speedup is None or preset.measured.speedup_interval is not None:
        return []
    return ["The gain has no interval: too few pairs of fresh processes were measured for one."]


def _conclusion(fitted: Fitted, found: Distance) -> str:
    if not fitted.configuration.settings:
        return "None of the preset's values can be used here: run perfkit tune."
    if found.same and not fitted.dropped:
        return "Machine, size and packages are those of the measurement: expect about this gain."
    return "The preset was not measured here: it is a starting point; perfkit tune measures."

"""Configurations that a search tries first: known presets for this machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.knobs.availability import is_tried
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.knob import Host
from perfkit.presets.advice import nearest_first
from perfkit.presets.known import SHIPPED, KnownPreset, shipped_presets, stored_presets
from perfkit.presets.nearness import Here
from perfkit.records.findings import MachineRecord
from perfkit.records.machine import fingerprint, package_versions


@dataclass(frozen=True)
class StartingPoint:
    """A configuration that a search tries first.

    Attributes
    ----------
    configuration
        The configuration.
    preset
        The known preset that its values come from.
    """

    configuration: Configuration
    preset: KnownPreset


MOST = 3
"""Starting points of a search. Each costs about as much as one screened candidate."""


def starting_points(
    model_name: str,
    workload_size: int,
    host: Host,
    catalogue: Catalogue,
    store_folder: Path | None,
    *,
    knobs: Collection[str] | None = None,
    worth_trying: Callable[[str, str], bool] | None = None,
    machine: MachineRecord | None = None,
    versions: Mapping[str, str | None] | None = None,
    shipped_folder: Path = SHIPPED,
    most: int = MOST,
) -> tuple[StartingPoint, ...]:
    """Configurations to try first, nearest measurement first.

    They come from the presets that ship with perfkit and from those that earlier tunings left in a
    folder, see :class:`perfkit.presets.nearness.Distance`. Only values are kept that a search would
    try on this machine. Configurations that are then equal to another one, or to stock, are left
    out.

    Parameters
    ----------
    model_name
        Name of the model.
    workload_size
        Size of the input in the model's unit.
    host
        The machine.
    catalogue
        Knobs that may be set.
    store_folder
        Folder with the results of earlier tunings; None, or a folder that does not exist, for none.
    knobs
        Names of the knobs that may differ from stock; None for all.
    worth_trying
        Whether a value of one of the model's own knobs can make a difference to the input, by name
        and value, see :meth:`perfkit.models.base.Model.worth_trying`; None if all can.
    machine, versions
        Fingerprint of the machine and installed packages; this machine's by default.
    shipped_folder
        Folder of the shipped presets.
    most
        Largest number of configurations.
    """
    here = Here(
        host,
        fingerprint() if machine is None else machine,
        package_versions() if versions is None else versions,
    )
    presets = shipped_presets(model_name, shipped_folder)
    if store_folder is not None:
        presets += stored_presets(model_name, store_folder)

    def searched(name: str, value: str) -> bool:
        chosen = knobs is None or name in knobs
        return chosen and is_tried(catalogue.knob(name), value, host, worth_trying)

    found: dict[Configuration, KnownPreset] = {}
    for preset in nearest_first(presets, workload_size, here):
        configuration = catalogue.configuration(
            {name: value for name, value in preset.settings.items() if searched(name, value)}
        )
        if configuration != STOCK:
            found.setdefault(configuration, preset)
    return tuple(itertools.starmap(StartingPoint, found.items()))[:most]

"""Configurations that a search tries first: known presets for this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.knob import Host
from perfkit.presets.advice import nearest_first
from perfkit.presets.known import SHIPPED, shipped_presets, stored_presets
from perfkit.presets.nearness import Here
from perfkit.records.findings import MachineRecord
from perfkit.records.machine import fingerprint, package_versions

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
    machine: MachineRecord | None = None,
    versions: Mapping[str, str | None] | None = None,
    shipped_folder: Path = SHIPPED,
    most: int = MOST,
) -> tuple[Configuration, ...]:
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
    found = (
        _searchable(preset.settings, catalogue, host, knobs)
        for preset in nearest_first(presets, workload_size, here)
    )
    return tuple(dict.fromkeys(each for each in found if each != STOCK))[:most]


def _searchable(
    settings: Mapping[str, str], catalogue: Catalogue, host: Host, knobs: Collection[str] | None
) -> Configuration:
    """The configuration with the values that a search tries on a machine."""
    kept = {}
    for name, value in settings.items():
        if knobs is not None and name not in knobs:
            continue
        search = catalogue.knob(name).search
        if search is not None and value in search.values_for(host):
            kept[name] = value
    return catalogue.configuration(kept)

"""Apply a configuration to a command that perfkit does not run as a trial."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from perfkit.errors import UserError
from perfkit.foreign.adapter import ForeignOptions
from perfkit.foreign.plan import ForeignPlan
from perfkit.knobs import allocators, cpus
from perfkit.knobs.allocators import ALLOCATOR_KNOB, PRELOAD
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.knob import Layer
from perfkit.models import get_model, model_names
from perfkit.models.base import Model
from perfkit.records.machine import PACKAGES
from perfkit.tuning.preset import Preset


def preset_environment(
    configuration: Configuration, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a command under ``configuration``.

    XLA flags that are set already come before those of the configuration: XLA takes the last value
    of a repeated flag. Libraries that are preloaded already come after the allocator.

    Parameters
    ----------
    configuration
        The configuration to apply.
    inherited
        The environment to start from; that of this process by default.
    """
    base = dict(os.environ if inherited is None else inherited)
    added = configuration.environment()
    flags = " ".join(text for text in (base.get("XLA_FLAGS"), added.get("XLA_FLAGS")) if text)
    preloaded = ":".join(text for text in (added.get(PRELOAD), base.get(PRELOAD)) if text)
    joined = {"XLA_FLAGS": flags, PRELOAD: preloaded}
    return base | added | {name: text for name, text in joined.items() if text}


def foreign_plan(
    preset: Preset | None,
    journals: Path,
    *,
    guard: str | None = None,
    options: ForeignOptions | None = None,
    programs: Path | None = None,
    running: bool = False,
) -> ForeignPlan:
    """What the Python processes of a command have to do.

    Parameters
    ----------
    preset
        The preset that they apply, or None.
    journals
        Folder of their journals.
    guard
        Mode of the guard, or None.
    options
        Options of the run that are no knobs.
    programs
        Folder for JAX's persistent compilation cache, or None.
    running
        Whether the plan is for a process that runs already, whose allocator is chosen.
    """
    configuration = STOCK if preset is None else preset.configuration
    adapter = None if preset is None else adapter_of(get_model(preset.model))
    chosen = configuration.of_layer(Layer.ALLOCATOR).get(ALLOCATOR_KNOB.name)
    allocator = None if running else chosen
    bound = configuration.of_layer(Layer.CPUS).get(CPUS_KNOB.name)
    library = None if allocator is None else allocators.environment(allocator).get(PRELOAD)
    return ForeignPlan(
        journals=str(journals.resolve()),
        guard=guard,
        adapter=adapter,
        watched=() if adapter is None else watched_by(adapter),
        settings=configuration.overrides(),
        options=ForeignOptions() if options is None else options,
        flags=configuration.of_layer(Layer.XLA),
        variables=_variables(allocator, bound),
        library=library,
        cpus=None if bound is None else int(bound),
        programs=None if programs is None else str(programs.resolve()),
        packages=PACKAGES,
        models=_packages_of_models(),
    )


def adapter_of(model: Model) -> str | None:
    """Name of the model's adapter for programs of others; None without one."""
    # Models of other packages may be older than the attribute.
    adapter: str | None = getattr(model, "foreign_adapter", None)
    return adapter


def watched_by(adapter: str) -> tuple[str, ...]:
    """The modules of the foreign program that an adapter waits for.

    Raises
    ------
    UserError
        The adapter cannot be imported.
    """
    try:
        return tuple(importlib.import_module(adapter).WATCHED)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the adapter {adapter} cannot be imported ({error}): install its package again"
        ) from error


def _variables(allocator: str | None, bound: str | None) -> dict[str, dict[str, str]]:
    """Variables by setting, without the list of preloaded libraries, which may be longer."""
    found: dict[str, dict[str, str]] = {}
    if allocator is not None:
        found[ALLOCATOR_KNOB.name] = dict(allocators.ALLOCATORS[allocator].variables)
    if bound is not None:
        found[CPUS_KNOB.name] = cpus.environment(bound)
    return found


def _packages_of_models() -> dict[str, str]:
    """Top-level package of a foreign program -> model, for models that have an adapter."""
    found = {}
    for name in model_names():
        # A broken model of another package must not stop a command that does not use it.
        with contextlib.suppress(UserError):
            adapter = adapter_of(get_model(name))
            for module in () if adapter is None else watched_by(adapter):
                found[module.partition(".")[0]] = name
    return found

"""Builds AlphaFold 3's network with the options of the settings."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from perfkit.foreign.adapter import SettingsReport
from perfkit.models.af3.foreign.native_kernels import NativeKernels
from perfkit.models.af3.foreign.networks_in_use import OWN_NETWORK, NetworksInUse, network_of
from perfkit.models.af3.knobs import (
    ATTENTION_CHUNK,
    KERNELS,
    MSA_ROWS,
    NEEDED,
    PRECISION,
    ROW_OPTIONS,
    TEMPLATES,
    UPSTREAM,
    WHOLE,
    row_spec,
    upstream_bfloat16,
)
from perfkit.models.af3.network.source import why_all_templates

type Change = tuple[str, object]
"""Option of upstream's ``global_config`` and its new value."""


def global_changes(settings: Mapping[str, str]) -> dict[str, Change]:
    """Return the options of upstream's ``global_config`` that the settings change.

    Parameters
    ----------
    settings
        Knob -> value.

    Returns
    -------
    dict
        Knob -> option and value.
    """
    changes: dict[str, Change] = {
        knob: (option, row_spec(settings[knob]))
        for knob, option in ROW_OPTIONS.items()
        if settings.get(knob, UPSTREAM) != UPSTREAM
    }
    if PRECISION.name in settings:
        changes[PRECISION.name] = ("bfloat16", upstream_bfloat16(settings[PRECISION.name]))
    return changes


def adapt_network(
    module: ModuleType,
    settings: Mapping[str, str],
    report: SettingsReport,
    in_use: NetworksInUse,
    kernels: NativeKernels | None = None,
    why_all: Callable[[], str | None] = why_all_templates,
) -> None:
    """Make ``alphafold3.model.model.Model`` follow the settings.

    The configuration that the program passes is copied, not changed.

    Parameters
    ----------
    module
        The module.
    settings
        Knob -> value.
    report
        Where to report what became of each setting.
    in_use
        Is marked as adapted.
    kernels
        Native kernels of the settings; made from them by default.
    why_all
        Says why equal templates are not embedded once.
    """
    kernels = NativeKernels(settings, report) if kernels is None else kernels
    model = module.Model
    build: Callable[..., None] = model.__init__
    predict: Callable[..., Any] = model.__call__
    changes = global_changes(settings)
    once = settings.get(TEMPLATES.name) == NEEDED
    reason = why_all() if once else None
    if reason is not None:
        report.could_not(TEMPLATES.name, reason)
        once = False

    @functools.wraps(build)
    def build_with_settings(self: Any, config: Any, *given: Any, **named: Any) -> None:
        network = network_of(config.global_config)
        if network == OWN_NETWORK:
            config = _changed(config, changes, report)
            if kernels.take_all_rows and kernels.are_loaded():
                setattr(config.global_config, ROW_OPTIONS[ATTENTION_CHUNK.name], row_spec(WHOLE))
        else:
            for knob in (*changes, *((KERNELS.name,) if kernels.are_set else ())):
                report.could_not(knob, f"the program runs {network}, another network")
        build(self, config, *given, **named)

    @functools.wraps(predict)
    def predict_with_settings(self: Any, batch: Any, *given: Any, **named: Any) -> Any:
        before = self.config
        if network_of(before.global_config) != OWN_NETWORK:
            return predict(self, batch, *given, **named)
        if MSA_ROWS.name in settings:
            self.config = _with_rows(before, batch, settings[MSA_ROWS.name], report)
        try:
            with kernels.tracing(), _one_template() if once else contextlib.nullcontext():
                return predict(self, batch, *given, **named)
        finally:
            self.config = before

    model.__init__ = build_with_settings
    if MSA_ROWS.name in settings or kernels.are_set or once:
        model.__call__ = predict_with_settings
    if MSA_ROWS.name in settings:
        in_use.adapted.add(MSA_ROWS.name)
    if once:
        in_use.adapted.add(TEMPLATES.name)


def _one_template() -> contextlib.AbstractContextManager[None]:
    # It imports JAX, which the program may have to set up first.
    from perfkit.models.af3.network.equal_templates import equal_templates

    return equal_templates()


def _changed(config: Any, changes: Mapping[str, Change], report: SettingsReport) -> Any:
    """Return a copy of the configuration with changed global options."""
    config = copy.deepcopy(config)
    options = config.global_config
    if PRECISION.name not in changes and getattr(options, "bfloat16", "all") != "all":
        report.say(
            f"the program runs with bfloat16='{options.bfloat16}', and the preset was measured "
            "with 'all', as it sets no precision"
        )
    for knob, (option, value) in changes.items():
        if hasattr(options, option):
            setattr(options, option, value)
            report.took_effect(knob)
        else:
            report.could_not(knob, f"this alphafold3 has no option {option}")
    return config


def _with_rows(config: Any, batch: Any, value: str, report: SettingsReport) -> Any:
    """Return a copy of the configuration whose trunk takes no more MSA rows than there are."""
    present = batch["msa"].shape[0]
    config = copy.deepcopy(config)
    rows = config.evoformer.num_msa if value == NEEDED else int(value)
    config.evoformer.num_msa = min(rows, present)
    if value != NEEDED:
        # How many rows are needed is decided, and counted, when the input is featurised.
        report.took_effect(MSA_ROWS.name, f"{config.evoformer.num_msa} rows")
    return config

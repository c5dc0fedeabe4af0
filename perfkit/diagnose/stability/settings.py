"""The compiler settings under which a stability report runs a workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from perfkit.knobs.knob import Knob
from perfkit.models.base import Model


@dataclass(frozen=True)
class Setting:
    """One row of the stability report.

    Attributes
    ----------
    name
        Name of the setting in the report.
    knobs
        Knob values that differ from stock.
    why
        What this setting shows that the others do not.
    """

    name: str
    knobs: Mapping[str, str]
    why: str


COMPILER_SETTINGS = (
    Setting("stock", {}, "the defaults of XLA"),
    Setting(
        "no fused multiply-add",
        {"xla_cpu_max_isa": "AVX"},
        "AVX has none: products are rounded before they are subtracted",
    ),
    Setting(
        "not fused",
        {"xla_disable_hlo_passes": "fusion"},
        "each operation is rounded on its own, except inside loops",
    ),
    Setting(
        "optimisation level 0", {"xla_backend_optimization_level": "0"}, "LLVM contracts nothing"
    ),
    Setting(
        "optimisation level 1",
        {"xla_backend_optimization_level": "1"},
        "the first level at which LLVM contracts",
    ),
    Setting(
        "no excess precision",
        {"xla_allow_excess_precision": "false"},
        "bfloat16 intermediates are rounded wherever the program says so",
    ),
)
"""Settings that change how a program is rounded, but not what it computes."""


def precisions_of(
    knobs: Iterable[Knob], reference_values: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return the precisions of a model: name of each, mapped to the knob values that select it.

    For example ``{"precision=float32": {"precision": "float32"}, ...}``.

    Parameters
    ----------
    knobs
        The model's own knobs.
    reference_values
        Knob values of the model's reference; they name the knobs that set its precision.
    """
    return {
        f"{knob.name}={value}": {knob.name: value}
        for knob in knobs
        if knob.name in reference_values
        for value in dict.fromkeys((knob.default, *knob.values))
    }


def cross_settings(precisions: Mapping[str, Mapping[str, str]]) -> tuple[Setting, ...]:
    """Return every compiler setting in every precision.

    Parameters
    ----------
    precisions
        Name of each precision, mapped to the knob values that select it.
    """
    return tuple(
        Setting(f"{setting.name}, {precision}", {**setting.knobs, **knobs}, setting.why)
        for precision, knobs in precisions.items()
        for setting in COMPILER_SETTINGS
    )


def settings_of(model: Model, values: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return the settings of a stability report of a model.

    Parameters
    ----------
    model
        The model, which declares its precisions.
    values
        Knob values that all settings start from.
    """
    precisions = precisions_of(model.knobs, model.reference_values)
    return cross_settings({name: {**values, **knobs} for name, knobs in precisions.items()})

"""The adapter of GenCast: applies its knobs to the published package in programs of others.

The package was called ``graphcast`` and is called ``weathernext`` now. Both build a predictor
``GenCast`` from configurations and cast with ``casting.Bfloat16Cast``. Knobs that only perfkit's
own implementation has are reported. See :mod:`perfkit.foreign.adapter` for the protocol.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from perfkit.foreign.adapter import ForeignOptions, SettingsReport
from perfkit.models.gencast.knobs import (
    ATTENTION,
    BFLOAT16_NETWORK,
    PARAMETERS,
    PRECISION,
    PUBLISHED_ATTENTION,
)
from perfkit.models.shared_knobs import BFLOAT16

WATCHED: tuple[str, ...] = ("weathernext.weathernext1_gen.gencast", "graphcast.gencast")

_OWN = "the published GenCast has no such setting, only perfkit's own implementation has it"

_PARAMETERS = (
    "it is the program that passes the parameters to jax.jit, or closes over them, which makes "
    "them constants, as in DeepMind's notebooks"
)


def adapt(
    module: ModuleType,
    settings: Mapping[str, str],
    options: ForeignOptions,
    report: SettingsReport,
) -> None:
    """Apply the settings to the module that defines the predictor ``GenCast``.

    The precision concerns forecasts only; the loss is computed as the program has it.

    Parameters
    ----------
    module
        One of :data:`WATCHED`.
    settings
        Knob of :data:`perfkit.models.gencast.knobs.KNOBS` -> value.
    options
        Options of the run; none of them concerns GenCast.
    report
        Where to report what became of each setting. The attention counts once per predictor that
        the program builds, the precision once per program that JAX traces.
    """
    for name in settings.keys() - {PRECISION.name, ATTENTION.name}:
        report.could_not(name, _PARAMETERS if name == PARAMETERS.name else _OWN)
    if ATTENTION.name in settings:
        _adapt_attention(module.GenCast, settings[ATTENTION.name], report)
    if PRECISION.name in settings:
        _adapt_precision(module, settings[PRECISION.name], report)


def _adapt_attention(predictor: Any, value: str, report: SettingsReport) -> None:
    """Have predictors built with another implementation of attention.

    The program's own configuration is copied, not changed.
    """
    kind = PUBLISHED_ATTENTION.get(value)
    build: Callable[..., None] = predictor.__init__
    signature = inspect.signature(build)
    if kind is None or "denoiser_architecture_config" not in signature.parameters:
        report.could_not(ATTENTION.name, _OWN)
        return

    @functools.wraps(build)
    def build_with_attention(*given: Any, **named: Any) -> None:
        call = signature.bind(*given, **named)
        configuration = copy.deepcopy(call.arguments["denoiser_architecture_config"])
        configuration.sparse_transformer_config.attention_type = kind
        call.arguments["denoiser_architecture_config"] = configuration
        report.took_effect(ATTENTION.name, kind)
        build(*call.args, **call.kwargs)

    predictor.__init__ = build_with_attention


def _adapt_precision(module: ModuleType, value: str, report: SettingsReport) -> None:
    """Have forecasts computed in bfloat16, in the network only or in the sampler, too."""
    casting = getattr(module, "casting", None)
    if casting is None or value not in (BFLOAT16, BFLOAT16_NETWORK):
        report.could_not(PRECISION.name, f"this GenCast has no way to compute in {value}")
        return
    predictor = module.GenCast
    predict: Callable[..., Any] = predictor.__call__

    def in_bfloat16(self: Any, inputs: Any, **named: Any) -> Any:
        report.took_effect(PRECISION.name)
        return casting.Bfloat16Cast(functools.partial(predict, self))(inputs, **named)

    def in_bfloat16_network(self: Any, inputs: Any, **named: Any) -> Any:
        denoiser: Any = getattr(self, "_denoiser", None)
        network = getattr(denoiser, "_predictor", None)
        if network is None:
            report.could_not(PRECISION.name, "this GenCast keeps its network elsewhere")
            return predict(self, inputs, **named)
        report.took_effect(PRECISION.name)
        # The noise level is encoded before the network, in float32.
        denoiser._predictor = casting.Bfloat16Cast(network)
        try:
            return predict(self, inputs, **named)
        finally:
            denoiser._predictor = network

    compute = in_bfloat16 if value == BFLOAT16 else in_bfloat16_network

    @functools.wraps(predict)
    def predict_in_precision(
        self: Any, inputs: Any, targets_template: Any, forcings: Any = None, **named: Any
    ) -> Any:
        named |= {"targets_template": targets_template, "forcings": forcings}
        if forcings is None or _is_bfloat16(inputs):
            # Two casts, one within the other, do not work.
            report.could_not(PRECISION.name, "the program casts, or gives no forcings to cast")
            return predict(self, inputs, **named)
        return compute(self, inputs, **named)

    predictor.__call__ = predict_in_precision


def _is_bfloat16(fields: Mapping[str, Any]) -> bool:
    """Whether a field of a dataset has the data type bfloat16."""
    return any(str(getattr(field, "dtype", "")) == BFLOAT16 for field in fields.values())

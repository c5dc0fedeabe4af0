"""The knob that every model with parameters has."""

from __future__ import annotations

from perfkit.knobs.knob import Knob, Layer, one_of

PARAMETERS = Knob(
    name="parameters",
    default="arguments",
    values=("arguments", "constants"),
    layer=Layer.MODEL,
    exact=True,
    summary="parameters passed to the executable, or baked into it as constants",
    parse=one_of("arguments", "constants"),
)

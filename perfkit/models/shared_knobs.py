"""Knobs that models have in common, so that equal knobs have equal names and values."""

from __future__ import annotations

from perfkit.knobs.knob import Bundle, Knob, Layer, Search
from perfkit.knobs.parsers import one_of

PRECISION_NAME = "precision"
FLOAT32 = "float32"
BFLOAT16 = "bfloat16"
"""Number formats in which a network computes."""

CONSTANTS = "constants"
"""Value of the knob ``parameters`` that bakes them into the executable."""


def precision_knob(default: str, summary: str, allowed: tuple[str, ...], search: Search) -> Knob:
    """Make the knob that chooses the number format of the network.

    Parameters
    ----------
    default
        The format that the model uses as it is published.
    summary
        One line of help, which explains the values.
    allowed
        All values; :data:`FLOAT32` is one of them.
    search
        How a search tries the values.
    """
    return Knob(
        name=PRECISION_NAME,
        default=default,
        layer=Layer.MODEL,
        exact=False,
        summary=summary,
        parse=one_of(*allowed),
        search=search,
    )


def parameters_knob(order: int, bundle: Bundle | None = None, memory_ratio: float = 1.0) -> Knob:
    """Make the knob that bakes the parameters into the executable.

    Parameters
    ----------
    order, bundle
        Position in the search of the model, see :class:`perfkit.knobs.knob.Search`.
    memory_ratio
        Peak memory with constants over that with arguments.
    """
    return Knob(
        name="parameters",
        default="arguments",
        layer=Layer.MODEL,
        exact=True,
        summary="parameters passed to the executable, or baked into it as constants",
        parse=one_of("arguments", CONSTANTS),
        search=Search((CONSTANTS,), order=order, bundle=bundle, memory_ratio=memory_ratio),
    )

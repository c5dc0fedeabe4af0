"""Knobs that models have in common, so that equal knobs have equal names and values."""

from __future__ import annotations

from collections.abc import Callable

from perfkit.knobs.knob import Bundle, Host, Knob, Layer, Search
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


KERNELS_NAME = "kernels"
XLA = "xla"
NATIVE = "native"
"""Values of the knob ``kernels``: who computes the heavy parts of a network."""


def kernels_knob(parts: str, order: int, why_no_native: Callable[[], str | None]) -> Knob:
    """Make the knob that replaces parts of the network by native kernels.

    Parameters
    ----------
    parts
        The parts, for the line of help.
    order
        Position in the search of the model, see :class:`perfkit.knobs.knob.Search`.
    why_no_native
        Returns why the model cannot use native kernels on this machine; None if it can.
    """

    def why_not(value: str, host: Host) -> str | None:
        return why_no_native() if value == NATIVE else None

    return Knob(
        name=KERNELS_NAME,
        default=XLA,
        layer=Layer.MODEL,
        exact=True,
        summary=f"{parts} as XLA compiles them, or as native kernels, which the C++ compiler of "
        "this machine builds on first use",
        parse=one_of(XLA, NATIVE),
        # They won on every machine that was measured, and halve the time of all later screenings.
        # Where they cannot be built they are not searched, and the bundle does without them.
        search=Search((NATIVE,), order=order, bundle=Bundle.MAJOR),
        why_not=why_not,
    )

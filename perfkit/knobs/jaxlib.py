"""The version of jaxlib as a knob: only a sweep or a tuning of several versions has it."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.knobs.knob import Knob, Layer
from perfkit.knobs.parsers import one_of

JAXLIB = "jaxlib"
"""Name of the knob."""


def jaxlib_knob(versions: Sequence[str], running: str) -> Knob:
    """The knob that chooses among environments.

    Parameters
    ----------
    versions
        Versions of jaxlib for which there is an environment.
    running
        Version that the running Python has; a configuration without the setting runs with it.
    """
    return Knob(
        name=JAXLIB,
        default=running,
        layer=Layer.PACKAGES,
        exact=False,
        summary="version of jaxlib, in an environment of its own",
        parse=one_of(*dict.fromkeys((running, *versions))),
    )

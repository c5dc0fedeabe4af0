"""Apply a configuration to a command that perfkit does not run as a trial."""

from __future__ import annotations

import os
from collections.abc import Mapping

from perfkit.knobs.allocators import PRELOAD
from perfkit.knobs.configuration import Configuration


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

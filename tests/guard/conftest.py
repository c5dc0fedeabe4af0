"""Examples of hypothesis have no time limit here."""

from __future__ import annotations

from hypothesis import settings

# The first run of an example compiles, which may take long on a loaded machine.
settings.register_profile("compiles", deadline=None)
settings.load_profile("compiles")

"""How long an example takes is not limited here."""

from __future__ import annotations

from hypothesis import settings

# An example's first run compiles: how long that takes is the machine's business.
settings.register_profile("compiles", deadline=None)
settings.load_profile("compiles")

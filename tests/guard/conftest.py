"""Lets the tests of this folder share the programs in ``guard_programs``."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# An example's first run compiles: how long that takes is the machine's business.
settings.register_profile("compiles", deadline=None)
settings.load_profile("compiles")

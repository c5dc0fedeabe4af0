"""Marks of tests that hold for some versions of the installed packages only."""

from __future__ import annotations

from importlib import metadata, util

import pytest

NOT_IN_0_10 = pytest.mark.skipif(
    util.find_spec("jax") is not None and metadata.version("jax").startswith("0.10."),
    reason="jaxlib 0.10 differs",
)
"""For what the oldest supported jaxlib lacks, or computes otherwise by itself."""

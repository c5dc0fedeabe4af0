"""Depths of a network, as workloads and records name them."""

from __future__ import annotations

FULL_DEPTH = "full"
"""Depth of a network with all of its blocks."""

SHALLOW_DEPTH = "shallow"
"""Depth of a network with few of its identical blocks, for cheap screening."""

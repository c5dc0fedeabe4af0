"""The environment and the output of the child processes of the diagnosis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def environment_with_perfkit(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a child finds this perfkit from any working directory."""
    root = Path(__file__).parents[2]
    paths = [str(root), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def last_line(text: str) -> str:
    """Return the last line of a child's output that is not blank, or an empty string."""
    return (text.strip().splitlines() or [""])[-1]

"""The version of jaxlib that the trials of the benchmarks run with, as asv's matrix sets it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit.environments.environment import Environment

JAXLIB_VARIABLE = "PERFKIT_JAXLIB"
"""Environment variable with a version of jaxlib, for which perfkit has an environment of its own;
empty or absent for the jaxlib of asv's environment."""


def chosen_environment() -> Environment | None:
    """The environment of the version that the variable names; None for the running one.

    Raises
    ------
    UserError
        There is no such version, or it does not install.
    """
    version = os.environ.get(JAXLIB_VARIABLE)
    if not version:
        return None
    # Commits without environments are measured with the jaxlib of asv's environment only.
    from perfkit.environments.environment import environment_for

    found = environment_for(version)
    return None if found.interpreter is None else found

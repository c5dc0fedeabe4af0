"""Packages of the optional dependency group ``search``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from perfkit.errors import MissingDependencyError


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    return importlib.util.find_spec(module) is not None


def require_package(
    strategy: str, module: str, package: str, installed: Callable[[str], bool] = is_installed
) -> None:
    """Refuse a strategy whose package is missing.

    Parameters
    ----------
    strategy
        Name of the strategy.
    module, package
        Name of the module that it imports, and of the package that contains it.
    installed
        Whether a module can be imported.

    Raises
    ------
    MissingDependencyError
        The package is not installed; the message says how to install it.
    """
    if not installed(module):
        raise MissingDependencyError(
            f"strategy {strategy!r} needs the package {package}: pip install {package}"
        )

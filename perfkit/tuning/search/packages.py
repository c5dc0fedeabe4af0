"""Packages of the optional dependency group ``search``."""

from __future__ import annotations

from collections.abc import Callable

from perfkit.errors import MissingDependencyError
from perfkit.packages import distribution_name, missing_packages


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    return not missing_packages((module,))


def require_package(
    strategy: str, module: str, installed: Callable[[str], bool] = is_installed
) -> None:
    """Refuse a strategy whose package is missing.

    Parameters
    ----------
    strategy
        Name of the strategy.
    module
        Name of the package that it imports.
    installed
        Whether a module can be imported.

    Raises
    ------
    MissingDependencyError
        The package is not installed; the message says how to install it.
    """
    if not installed(module):
        package = distribution_name(module)
        raise MissingDependencyError(
            f"strategy {strategy!r} needs the package {package}: pip install {package}"
        )

"""Attributes that asv reads from a benchmark, e.g. ``unit`` and ``timeout``."""

from __future__ import annotations

from collections.abc import Callable


def attributes[F: Callable[..., object]](**values: object) -> Callable[[F], F]:
    """Set asv's attributes on a benchmark or on its ``setup_cache``.

    Parameters
    ----------
    values
        Attributes by name, as in asv's documentation of benchmark attributes.
    """

    def decorated(function: F) -> F:
        for name, value in values.items():
            setattr(function, name, value)
        return function

    return decorated

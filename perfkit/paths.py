"""Locate the cache folder, which holds files that perfkit can rebuild."""

from __future__ import annotations

import os
from pathlib import Path

from perfkit.errors import UserError

CACHE_VARIABLE = "PERFKIT_CACHE"
"""Environment variable that sets the cache folder."""


def cache_folder(*parts: str) -> Path:
    """A folder below the user's cache folder, which is created if it does not exist.

    Parameters
    ----------
    *parts
        Names of nested folders below the cache's root.

    Raises
    ------
    UserError
        The folder cannot be created.
    """
    folder = cache_root().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the cache folder {folder} cannot be created ({error.strerror}); "
            f"set {CACHE_VARIABLE} to a writable folder"
        ) from error
    return folder


def cache_root() -> Path:
    """The root of the cache, which need not exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    # Programs of others import this module without perfkit's dependencies.
    import platformdirs

    return platformdirs.user_cache_path("perfkit")

"""Locates the C++ headers: perfkit's own, and those of XLA's FFI, which jaxlib ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SOURCE_FOLDER = Path(__file__).parent.parent / "source"
"""Folder of perfkit's C++ files and headers."""

FFI_HEADER = Path("xla/ffi/api/ffi.h")


def headers_folder() -> Path:
    """The folder that ``jax.ffi.include_dir()`` names, without importing JAX.

    Raises
    ------
    ModuleNotFoundError
        jaxlib is not installed.
    """
    spec = importlib.util.find_spec("jaxlib")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("jaxlib is not installed")
    return Path(spec.submodule_search_locations[0]) / "include"


def has_headers() -> bool:
    """Whether jaxlib is installed and ships the headers of the FFI."""
    try:
        return (headers_folder() / FFI_HEADER).is_file()
    except ModuleNotFoundError:
        return False

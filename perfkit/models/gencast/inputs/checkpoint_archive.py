"""Reads npz archives whose keys are paths, and reports a bad file in one sentence."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.netcdf import refuse_larger_than_memory, shown

SEPARATOR = ":"
"""Separates the parts of a key."""

type Tree = dict[str, "Tree | NDArray[Any]"]
"""Nested dictionaries with an array at every leaf."""

_READ_ERRORS = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions of zipfile and NumPy for damaged archives; the place of the damage decides which."""


def read_tree(path: Path) -> Tree:
    """Read the arrays of an archive, nested by the parts of their keys.

    Raises
    ------
    UserError
        The file is missing, damaged or not an npz archive; it holds pickled objects or more than
        the free memory; or a key is both an array and a group of arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        refuse_larger_than_memory(size, str(path))
        with np.load(path, allow_pickle=False) as arrays:
            entries = {str(key): np.asarray(arrays[key]) for key in arrays.files}
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}") from error
    except _READ_ERRORS as error:
        raise UserError(
            f"{path} is not a checkpoint (an npz archive without pickles), or is damaged"
        ) from error
    return _nest(entries, path)


def _nest(entries: Mapping[str, NDArray[Any]], path: Path) -> Tree:
    tree: Tree = {}
    for key, value in entries.items():
        *parents, leaf = key.split(SEPARATOR)
        branch = tree
        for parent in parents:
            child = branch.setdefault(parent, {})
            if not isinstance(child, dict):
                raise UserError(f"{path} is damaged: {shown(key)} is inside an array")
            branch = child
        if leaf in branch:
            name = shown(key)
            raise UserError(f"{path} is damaged: {name} is both an array and a group of arrays")
        branch[leaf] = value
    return tree


def plain(tree: Tree | NDArray[Any]) -> Any:
    """Convert a tree to dictionaries, lists and scalars. Branches with numbered keys become lists.

    Raises
    ------
    ValueError
        An array has more than one value, or the numbers of a list have gaps.
    """
    if not isinstance(tree, dict):
        return tree.item()
    if tree and all(key.isascii() and key.isdigit() for key in tree):
        numbers = [str(number) for number in range(len(tree))]
        if set(numbers) != set(tree):
            raise ValueError(f"entries {shown(', '.join(tree))} are not numbered from 0")
        return [plain(tree[number]) for number in numbers]
    return {key: plain(child) for key, child in tree.items()}

"""Reading npz archives whose keys are paths, with one sentence for every bad file."""

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

type Tree = dict[str, "Tree | NDArray[Any]"]
"""Nested branches with an array at every leaf."""

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
"""What zipfile and NumPy raise on damaged archives, depending on where the damage is."""


def read_tree(path: Path) -> Tree:
    """The arrays of an archive, nested by the parts of their keys.

    Raises
    ------
    UserError
        The file is missing, no npz archive, damaged, holds pickled objects or more than the free
        memory, or has an array where its keys need a branch.
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
                raise UserError(f"{path} is damaged: {shown(key)} lies within an array")
            branch = child
        if leaf in branch:
            name = shown(key)
            raise UserError(f"{path} is damaged: {name} is both an array and a group of arrays")
        branch[leaf] = value
    return tree


def plain(tree: Tree | NDArray[Any]) -> Any:
    """``tree`` as dictionaries, lists and scalars; branches with numbered keys become lists.

    Raises
    ------
    ValueError
        An array has more than one value, or numbers are left out.
    """
    if not isinstance(tree, dict):
        return tree.item()
    if tree and all(key.isascii() and key.isdigit() for key in tree):
        numbers = [str(number) for number in range(len(tree))]
        if set(numbers) != set(tree):
            raise ValueError(f"entries {shown(', '.join(tree))} are not numbered from 0")
        return [plain(tree[number]) for number in numbers]
    return {key: plain(child) for key, child in tree.items()}

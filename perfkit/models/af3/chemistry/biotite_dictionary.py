"""Reads the Chemical Component Dictionary that biotite ships, column by column."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from perfkit.errors import MissingDependencyError, UserError, nearest
from perfkit.files import reason_of
from perfkit.seal import file_digest

if TYPE_CHECKING:
    from biotite.structure.io.pdbx import BinaryCIFBlock, BinaryCIFColumn

_STAND_INS = {1: ".", 2: "?"}
"""Mask value of BinaryCIF 0.3.0 (1 inapplicable, 2 missing) -> its text in mmCIF.

Mask value 0 marks an ordinary value.
"""

_SUGGESTIONS = 3
"""Nearest valid codes that an error about an unknown code names."""


def source_file(biotite: Path | None = None) -> Path:
    """Return the BinaryCIF file that holds the whole dictionary.

    Parameters
    ----------
    biotite
        Folder of the biotite package; by default that of the installed one.

    Raises
    ------
    MissingDependencyError
        biotite was installed without its dictionary.
    """
    package = Path(str(importlib.resources.files("biotite"))) if biotite is None else biotite
    path = package / "structure/info/components.bcif"
    if not path.is_file():
        raise MissingDependencyError(
            "the installed biotite lacks its chemical components: "
            "run 'python -m biotite.setup_ccd' once"
        )
    return path


@functools.cache
def source_key() -> str:
    """Identify the installed dictionary; see :func:`dictionary_key`. Cached per process.

    Raises
    ------
    MissingDependencyError
        biotite was installed without its dictionary.
    UserError
        The file cannot be read.
    """
    return dictionary_key(source_file())


def dictionary_key(path: Path) -> str:
    """Identify a dictionary by biotite's version and a digest of the file's content.

    Raises
    ------
    UserError
        The file cannot be read.
    """
    try:
        return f"biotite-{importlib.metadata.version('biotite')}-{file_digest(path)}"
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason_of(error)})") from error


def read_columns(category: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Read whole columns of one category as text.

    Parameters
    ----------
    category
        ``chem_comp``, ``chem_comp_atom`` or ``chem_comp_bond``.
    names
        Names of the columns, without the category.

    Returns
    -------
    dict
        Column name -> values; a missing value is ``?``, an inapplicable one ``.``.

    Raises
    ------
    KeyError
        The dictionary has no such column.
    """
    block_category = _read_block()[category]
    return {name: _texts(block_category[name], slice(None)) for name in names}


def read_components(
    codes: Sequence[str], columns: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, list[str]]]:
    """Read some components in the form in which upstream's mmCIF parser returns them.

    Decoding the whole dictionary takes over a minute. Columns are therefore decoded one at a
    time, and only the rows of ``codes`` are turned into text.

    Parameters
    ----------
    codes
        Codes of the components.
    columns
        Category (``chem_comp``, ``chem_comp_atom``, ``chem_comp_bond``) -> columns to read.
        Columns that the dictionary lacks are skipped.

    Returns
    -------
    dict
        Component code -> mmCIF item (``_category.column``) -> values in file order. A component
        without rows in a category has empty columns there.

    Raises
    ------
    UserError
        A component is not in the dictionary.
    """
    block = _read_block()
    refuse_unknown(codes, block["chem_comp"]["id"].as_array().tolist())
    components: dict[str, dict[str, list[str]]] = {code: {"data_": [code]} for code in codes}
    for category, names in columns.items():
        block_category = block[category]
        key = "id" if category == "chem_comp" else "comp_id"
        extents = _extents(block_category[key].as_array())
        for name in names:
            if name not in block_category:
                continue
            column = block_category[name]
            for code, items in components.items():
                items[f"_{category}.{name}"] = _texts(column, extents.get(code, slice(0)))
            # The block caches decoded columns; all of them together would take over 1 GB.
            del block_category[name]
    return components


def refuse_unknown(codes: Iterable[str], valid: Iterable[str]) -> None:
    """Refuse components that a dictionary lacks.

    Raises
    ------
    UserError
        A code is unknown. The message names the first such code and the nearest valid codes,
        preferring codes of the same length.
    """
    known = frozenset(valid)
    for code in sorted(codes):
        if code not in known:
            distance = min(abs(len(other) - len(code)) for other in known)
            alike = sorted(other for other in known if abs(len(other) - len(code)) == distance)
            close = ", ".join(nearest(code.upper(), alike, _SUGGESTIONS))
            raise UserError(
                f"unknown chemical component {code!r} (CCD code); the nearest are {close}"
            )


def _read_block() -> BinaryCIFBlock:
    from biotite.structure.io.pdbx import BinaryCIFFile

    return BinaryCIFFile.read(source_file()).block


def _extents(codes: npt.NDArray[np.str_]) -> Mapping[str, slice]:
    """Map each component code to its rows, which are contiguous in every category."""
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    stops = [*starts[1:].tolist(), len(codes)]
    return {
        code: slice(start, stop)
        for code, start, stop in zip(codes[starts].tolist(), starts.tolist(), stops, strict=True)
    }


def _texts(column: BinaryCIFColumn, rows: slice) -> list[str]:
    """Return the values of some rows as Python strings."""
    texts = [str(value) for value in column.data.array[rows].tolist()]
    if column.mask is None:
        return texts
    masks = column.mask.array[rows].tolist()
    return [_STAND_INS.get(mask, text) for mask, text in zip(masks, texts, strict=True)]

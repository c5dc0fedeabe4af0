"""The Chemical Component Dictionary that biotite ships, read column by column."""

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
"""Mask values of BinaryCIF 0.3.0 (inapplicable, missing) -> their text in mmCIF; 0 is a value."""

_SUGGESTIONS = 3


def source_file() -> Path:
    """The BinaryCIF file with the whole dictionary, inside the installed biotite.

    Raises
    ------
    MissingDependencyError
        biotite was installed without its dictionary.
    """
    path = Path(str(importlib.resources.files("biotite"))) / "structure/info/components.bcif"
    if not path.is_file():
        raise MissingDependencyError(
            "the installed biotite lacks its chemical components: "
            "run 'python -m biotite.setup_ccd' once"
        )
    return path


@functools.cache
def source_key() -> str:
    """What identifies the dictionary: biotite's version, and a digest of the file.

    Raises
    ------
    MissingDependencyError
        biotite was installed without its dictionary.
    UserError
        The file cannot be read.
    """
    path = source_file()
    try:
        return f"biotite-{importlib.metadata.version('biotite')}-{file_digest(path)}"
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason_of(error)})") from error


def read_columns(category: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Whole columns of one category as text, missing values as ``?``, inapplicable ones as ``.``.

    Parameters
    ----------
    category
        ``chem_comp``, ``chem_comp_atom`` or ``chem_comp_bond``.
    names
        The columns' names without their category.

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
    """Some components, in the form that upstream's mmCIF parser gives them.

    Columns are decoded one at a time, and only the rows of the components turned into text:
    decoding the whole dictionary takes over a minute.

    Parameters
    ----------
    codes
        The components.
    columns
        Category (``chem_comp``, ``chem_comp_atom``, ``chem_comp_bond``) -> the columns to read; a
        column that this dictionary lacks is left out.

    Returns
    -------
    dict
        Component code -> mmCIF item (``_category.column``) -> its values, in file order; a
        component without rows in a category has empty columns there.

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
            # The block keeps what it has decoded: all columns together would take over 1 GB.
            del block_category[name]
    return components


def refuse_unknown(codes: Iterable[str], valid: Iterable[str]) -> None:
    """Refuses components that a dictionary lacks.

    Raises
    ------
    UserError
        Names the first unknown code and the nearest valid ones, among those of its length if
        there are any.
    """
    known = frozenset(valid)
    for code in sorted(codes):
        if code not in known:
            off = min(abs(len(each) - len(code)) for each in known)
            alike = sorted(each for each in known if abs(len(each) - len(code)) == off)
            close = ", ".join(nearest(code.upper(), alike, _SUGGESTIONS))
            raise UserError(
                f"unknown chemical component {code!r} (CCD code); the nearest are {close}"
            )


def _read_block() -> BinaryCIFBlock:
    from biotite.structure.io.pdbx import BinaryCIFFile

    return BinaryCIFFile.read(source_file()).block


def _extents(codes: npt.NDArray[np.str_]) -> Mapping[str, slice]:
    """Where each component's rows lie: they are contiguous in every category of the dictionary."""
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    stops = [*starts[1:].tolist(), len(codes)]
    return {
        code: slice(start, stop)
        for code, start, stop in zip(codes[starts].tolist(), starts.tolist(), stops, strict=True)
    }


def _texts(column: BinaryCIFColumn, rows: slice) -> list[str]:
    """The values of some rows as plain Python text."""
    texts = [str(value) for value in column.data.array[rows].tolist()]
    if column.mask is None:
        return texts
    masks = column.mask.array[rows].tolist()
    return [_STAND_INS.get(mask, text) for mask, text in zip(masks, texts, strict=True)]

"""Data of figures and tables as data frames, one row per row, point or sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

import pandas as pd

from perfkit.report.plain_table import PlainTable
from perfkit.stats.interval import Interval

type Cell = str | int | float | bool | None
type Cells = Mapping[str, Cell]
type Tables = dict[str, pd.DataFrame]
"""Data frames by name; a name is that of a file."""

UNITS = ("_bytes_per_s", "_flops_per_s", "_per_hour", "_bytes", "_s")
"""Endings of names that state a unit, the longest first."""

_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (int, "Int64"),
    ((int, float), "float64"),
)
"""Types of the values of a column and that of the column; columns of other values are texts."""


class Row(Protocol):
    """A named tuple."""

    def _asdict(self) -> dict[str, object]: ...


def frame(rows: Iterable[Cells]) -> pd.DataFrame:
    """Rows as a data frame. A value that a row lacks is missing.

    Parameters
    ----------
    rows
        Values by name of the column.
    """
    kept = list(rows)
    names = dict.fromkeys(name for row in kept for name in row)
    return pd.DataFrame({name: _column([row.get(name) for row in kept]) for name in names})


def cells(row: Row | Mapping[str, object], without: Sequence[str] = ()) -> dict[str, Cell]:
    """The values of a row by name of the column.

    An interval becomes four columns: the estimate, ``low``, ``high`` and ``count``. The unit stays
    at the end of the name: ``time_s`` becomes ``time_s``, ``time_low_s``, ``time_high_s`` and
    ``time_count``.

    Parameters
    ----------
    row
        A named tuple, or its values by name.
    without
        Names of values to leave out.

    Raises
    ------
    TypeError
        A value is neither a number, a text, a truth value, an interval nor None.
    """
    found: dict[str, Cell] = {}
    values = row if isinstance(row, Mapping) else row._asdict()
    for name, value in values.items():
        if name in without:
            continue
        if isinstance(value, Interval):
            found |= interval_cells(name, value)
        elif isinstance(value, Enum):
            found[name] = str(value.value)
        elif value is None or isinstance(value, str | int | float):
            found[name] = value
        else:
            raise TypeError(f"{name} is a {type(value).__name__} and has no column")
    return found


def interval_cells(name: str, interval: Interval | None) -> dict[str, Cell]:
    """The four columns of an interval, see :func:`cells`."""
    unit = next((ending for ending in UNITS if name.endswith(ending)), "")
    stem = name.removesuffix(unit)
    names = (name, f"{stem}_low{unit}", f"{stem}_high{unit}", f"{stem}_count")
    if interval is None:
        return dict.fromkeys(names)
    values = (interval.median, interval.low, interval.high, interval.count)
    return dict(zip(names, values, strict=True))


def elements(row: NamedTuple, *vectors: str, without: Sequence[str] = ()) -> Iterator[Cells]:
    """One row for each element of the vectors of a row, with its other values.

    Parameters
    ----------
    row
        A named tuple.
    *vectors
        Names of values that are vectors of one length.
    without
        Names of values to leave out.
    """
    fixed = cells(row, (*vectors, *without))
    for values in zip(*(getattr(row, name) for name in vectors), strict=True):
        yield fixed | dict(zip(vectors, values, strict=True))


def plain_frame(table: PlainTable) -> pd.DataFrame:
    """A table of texts as it is shown."""
    return frame(dict(zip(table.headers, row, strict=True)) for row in table.rows)


def with_constants(table: pd.DataFrame, constants: Cells) -> pd.DataFrame:
    """The table with columns in front that have one value each."""
    for place, (name, value) in enumerate(constants.items()):
        table.insert(place, name, _column([value] * len(table)))
    return table


def _column(values: Sequence[Cell]) -> pd.Series:
    known = [value for value in values if value is not None]
    for kinds, name in _TYPES:
        exact = kinds if isinstance(kinds, tuple) else (kinds,)
        if known and all(type(value) in exact for value in known):
            return pd.Series(values, dtype=name)
    texts = [None if value is None else str(value) for value in values]
    return pd.Series(texts, dtype="string")

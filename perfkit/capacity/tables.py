"""Tables that a person writes: read, checked row by row, refused with the row or key."""

from __future__ import annotations

import codecs
import csv
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perfkit.errors import UserError, nearest
from perfkit.units import cut

SEPARATORS = (",", ";", "\t")
"""Spreadsheets write the second where the comma is the decimal sign, the third as Unicode text."""

_SEPARATOR_LINE = "sep="
"""Excel's own first line, which names the separator."""

_ZIP = b"PK\x03\x04"
"""How a workbook begins."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


LONGEST_REASON = 400
"""Characters of a sentence about a bad value."""


@dataclass(frozen=True)
class Row:
    """One row of a CSV.

    Parameters
    ----------
    number
        Of its last line in the file, from 1.
    values
        Column to what stands there; empty cells are left out.
    problem
        Why the row cannot be read as one of the table, None where it can.
    """

    number: int
    values: Mapping[str, str]
    problem: str | None = None


def read_csv(
    path: Path, columns: Sequence[str], aliases: Mapping[str, str] | None = None
) -> list[Row]:
    """The rows of a CSV as spreadsheets write it; empty rows and columns are left out.

    Commas, semicolons or tabs may separate, cells may be quoted; UTF-8, UTF-16 (with its mark)
    and Windows-1252 are read. Case does not count in the names of columns.

    Parameters
    ----------
    aliases
        Other names of columns, as other programs have them.

    Raises
    ------
    UserError
        The file cannot be read, has no rows, or a column that is not one of ``columns``.
    """
    text = _decoded(path)
    aliases = aliases or {}
    lines = text.splitlines(keepends=True)
    separator = None
    skipped = 0
    if lines and lines[0].casefold().startswith(_SEPARATOR_LINE):
        separator = lines[0].strip()[len(_SEPARATOR_LINE) :][:1] or None
        text, skipped = "".join(lines[1:]), 1
    known = {*columns, *aliases}
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator or _separator(text, known),
        strict=True,
        skipinitialspace=True,
    )
    try:
        records = [
            (skipped + reader.line_num, cells)
            for row in reader
            if any(cells := [cell.strip() for cell in row])
        ]
    except csv.Error as error:
        raise UserError(
            f"{path}, row {skipped + reader.line_num}: {error} (is a quote not closed?)"
        ) from error
    if not records:
        raise UserError(f"the jobs {path} are empty: the first line names the columns")
    names = _column_names(path, records[0][1], columns, aliases)
    if len(records) == 1:
        raise UserError(f"the jobs {path} hold no row beneath the columns")
    return [_row(number, cells, names) for number, cells in records[1:]]


def _column_names(
    path: Path, cells: Sequence[str], columns: Sequence[str], aliases: Mapping[str, str]
) -> list[str]:
    names = [cell.casefold() for cell in cells]
    refuse_unknown(f"{path}: column", filter(None, names), [*columns, *aliases])
    names = [aliases.get(name, name) for name in names]
    repeated = [name for name in columns if names.count(name) > 1]
    if repeated:
        raise UserError(f"{path}: the column {repeated[0]!r} stands there twice")
    return names


def _row(number: int, cells: Sequence[str], names: Sequence[str]) -> Row:
    problem = None
    for place, cell in enumerate(cells):
        if cell and place >= len(names):
            problem = f"more values than columns: {cut(cell)!r} is number {place + 1}"
            break
        if cell and not names[place]:
            problem = f"{cut(cell)!r} stands in a column without a name"
            break
    values = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell}
    return Row(number, values, problem)


def _separator(text: str, known: Iterable[str]) -> str:
    """The separator that makes most known names of the first line, else most names at all."""
    line = next((line for line in text.splitlines() if line.strip()), "")

    def found(separator: str) -> tuple[int, int]:
        cells = [cell.strip(' "').casefold() for cell in line.split(separator)]
        return sum(cell in known for cell in cells), len(cells)

    return max(SEPARATORS, key=found)


def _decoded(path: Path) -> str:
    raw = _read(path, "jobs")
    if raw.startswith(_ZIP):
        raise UserError(f"the jobs {path} are a workbook, not CSV: save the sheet as CSV")
    try:
        text = raw.decode("utf-16" if raw.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        try:
            # What Excel writes on Windows where nobody asks for UTF-8.
            text = raw.decode("cp1252")
        except UnicodeDecodeError as error:
            raise UserError(f"the jobs {path} are not a text file in UTF-8") from error
    if "\0" in text:
        raise UserError(f"the jobs {path} are not a text file")
    return text


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"the {what} {str(path)!r} cannot be read ({error})") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The data of a TOML file.

    Raises
    ------
    UserError
        It cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(_read(path, what).decode("utf-8-sig"))
    except RecursionError as error:
        raise UserError(f"the {what} {path} is not TOML: it is nested too deeply") from error
    except ValueError as error:
        # Of the text's encoding, of TOML, and of numbers with thousands of digits.
        raise UserError(f"the {what} {path} is not TOML: {cut(str(error), 200)}") from error


def refuse_unknown(what: str, names: Iterable[str], valid: Sequence[str]) -> None:
    """Refuse a name that is not one of ``valid``.

    Raises
    ------
    UserError
        Names the first and the nearest that is valid.
    """
    for name in names:
        if name not in valid:
            raise UserError(
                f"{what} {cut(name)!r} is unknown; the nearest is {nearest(name, valid)[0]!r}"
            )


def first_sentence(error: ValidationError) -> str:
    """The first thing that pydantic found wrong: key, what was given, what was expected."""
    first = error.errors(include_url=False)[0]
    place = ".".join(cut(str(step)) for step in first["loc"])
    reason = cut(first["msg"].removeprefix("Value error, "), LONGEST_REASON)
    reason = reason[:1].lower() + reason[1:]
    given = first["input"]
    if not place:
        return reason
    if isinstance(given, dict):
        return f"{place}: {reason}" if first["type"] == "value_error" else f"{place} {reason}"
    return f"{place} is {_shown(given)}: {reason}"


def _shown(given: object) -> str:
    try:
        return cut(repr(given))
    except ValueError:
        return "a number of thousands of digits"

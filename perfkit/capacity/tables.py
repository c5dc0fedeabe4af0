"""CSV files that a user writes, and messages that name the bad row or key of a file."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from perfkit.errors import UserError, nearest
from perfkit.input_files import read_bytes
from perfkit.units import cut

SEPARATORS = (",", ";", "\t")
"""Spreadsheets write semicolons where the decimal sign is a comma, and tabs in Unicode text."""

_SEPARATOR_LINE = "sep="
"""Start of the first line with which Excel names the separator."""

_ZIP = b"PK\x03\x04"
"""First bytes of a workbook."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


LONGEST_REASON = 400
"""Characters of a message about a bad value."""


@dataclass(frozen=True)
class Row:
    """A row of a CSV.

    Attributes
    ----------
    number
        Number of its last line in the file, from 1.
    values
        Column to text; empty cells are left out.
    problem
        Why the row does not fit the columns, None where it does.
    """

    number: int
    values: Mapping[str, str]
    problem: str | None = None


def read_csv(
    path: Path, columns: Sequence[str], aliases: Mapping[str, str] | None = None
) -> list[Row]:
    """Read the rows of a CSV as spreadsheets write it, without empty rows and columns.

    Separators are commas, semicolons or tabs. Cells may be quoted. The encoding is UTF-8, UTF-16
    with a byte order mark, or Windows-1252. Names of columns are case-insensitive.

    Parameters
    ----------
    path
        The file.
    columns
        Names that columns may have.
    aliases
        Further names to those of ``columns`` that they stand for.

    Raises
    ------
    UserError
        The file cannot be read, is JSON, has no rows, or has a column that is not one of
        ``columns``.
    """
    text = _decoded(path)
    if text.lstrip().startswith("{"):
        raise UserError(
            f"{path} is JSON: give a CSV file of jobs, or the folder of the input files"
        )
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
        raise UserError(f"{path}: the column {repeated[0]!r} occurs twice")
    return names


def _row(number: int, cells: Sequence[str], names: Sequence[str]) -> Row:
    problem = None
    for place, cell in enumerate(cells):
        if cell and place >= len(names):
            problem = f"more values than columns: {cut(cell)!r} is number {place + 1}"
            break
        if cell and not names[place]:
            problem = f"{cut(cell)!r} is in a column without a name"
            break
    values = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell}
    return Row(number, values, problem)


def _separator(text: str, known: Iterable[str]) -> str:
    """Return the separator with the most known names in the first line, else the most cells."""
    line = next((line for line in text.splitlines() if line.strip()), "")

    def found(separator: str) -> tuple[int, int]:
        cells = [cell.strip(' "').casefold() for cell in line.split(separator)]
        return sum(cell in known for cell in cells), len(cells)

    return max(SEPARATORS, key=found)


def _decoded(path: Path) -> str:
    raw = read_bytes(path, "jobs")
    if raw.startswith(_ZIP):
        raise UserError(f"the jobs {path} are a workbook, not CSV: save the sheet as CSV")
    try:
        text = raw.decode("utf-16" if raw.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        try:
            # The default of Excel on Windows.
            text = raw.decode("cp1252")
        except UnicodeDecodeError as error:
            raise UserError(f"the jobs {path} are not a text file in UTF-8") from error
    if "\0" in text:
        raise UserError(f"the jobs {path} are not a text file")
    return text


def refuse_unknown(what: str, names: Iterable[str], valid: Sequence[str]) -> None:
    """Refuse names that are not valid.

    Parameters
    ----------
    what
        Description of the first name, for the message.
    names
        Names to check.
    valid
        Valid names.

    Raises
    ------
    UserError
        Names the first invalid name and the nearest valid one.
    """
    for name in names:
        if name not in valid:
            raise UserError(
                f"{what} {cut(name)!r} is unknown; the nearest is {nearest(name, valid)[0]!r}"
            )


def first_sentence(error: ValidationError) -> str:
    """Return the first error that pydantic found: key, value and what was expected."""
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

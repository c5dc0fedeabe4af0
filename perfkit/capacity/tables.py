"""Tables that a person writes: read, checked row by row, refused with the row or key."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perfkit.errors import UserError, nearest


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and values of every row; empty values are left out.

    Raises
    ------
    UserError
        The file cannot be read, has no rows, or a column that is not one of ``columns``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the jobs {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the jobs {path} are not a text file in UTF-8") from error
    reader = csv.DictReader(text.splitlines())
    headers = [header.strip() for header in reader.fieldnames or ()]
    if not headers:
        raise UserError(f"the jobs {path} are empty: the first line names the columns")
    refuse_unknown(f"{path}: column", headers, columns)
    repeated = {header for header in headers if headers.count(header) > 1}
    if repeated:
        raise UserError(f"{path}: the column {sorted(repeated)[0]!r} stands there twice")
    reader.fieldnames = headers
    rows = []
    for row in reader:
        if None in row:
            raise UserError(f"{path}, row {reader.line_num}: more values than columns")
        rows.append(
            (
                reader.line_num,
                {name: value.strip() for name, value in row.items() if value and value.strip()},
            )
        )
    if not rows:
        raise UserError(f"the jobs {path} hold no row beneath the columns")
    return rows


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The data of a TOML file.

    Raises
    ------
    UserError
        It cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the {what} {path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the {what} {path} is not TOML: {error}") from error


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
                f"{what} {name!r} is unknown; the nearest is {nearest(name, valid)[0]!r}"
            )


def first_sentence(error: ValidationError) -> str:
    """The first thing that pydantic found wrong: key, what is wrong, what was given."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    given = first["input"]
    if not place or isinstance(given, dict):
        return f"{place} {reason}".strip()
    return f"{place} is {given!r}: {reason}"

"""Bounds on the values of a file: possible measurements, and text that can be written.

A file can be damaged or made by hand. A number outside these bounds is no measurement, and would
cause an overflow or a division by zero far from the file that it comes from.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

MOST = 2**63 - 1
"""The largest signed integer of 64 bits; JSON writers and figures refuse larger ones."""

LONGEST_S = 1e10
"""About three centuries, in seconds."""

SHORTEST_PASS_S = 1e-9
"""The shortest time that a process can measure; ratios of times stay finite."""

DEEPEST = 64
"""Largest nesting of the JSON of a record; the data of an observer has five levels."""

LONGEST_PART_BYTES = 200
"""Most bytes of a text in the name of a file; file systems allow names of 255 bytes."""

type Count = Annotated[int, Field(ge=0, le=MOST)]
"""A number of bytes, page faults, elements, ..."""

type Bounded = Annotated[int, Field(ge=-MOST, le=MOST)]
"""A signed integer of 64 bits."""

type Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number."""

type Seconds = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
"""A duration in seconds."""

type Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A distance between two answers, without unit."""


def moment(text: str) -> str:
    """Return ``text`` if it is a date and time in ISO 8601 between the years 1970 and 9998.

    Raises
    ------
    ValueError
        The text is no such date and time.
    """
    year = datetime.fromisoformat(text).year
    if not 1970 <= year <= 9998:
        raise ValueError(f"the year {year} is not between 1970 and 9998")
    return text


type Moment = Annotated[str, AfterValidator(moment)]
"""A date and time in ISO 8601."""


def file_part(text: str) -> str:
    """Return ``text`` if it can be part of the name of a file, and never leads to another folder.

    Raises
    ------
    ValueError
        The text is empty, longer than :data:`LONGEST_PART_BYTES`, ``.`` or ``..``, or holds a
        slash or a character that is not printable.
    """
    fits = 0 < len(text.encode()) <= LONGEST_PART_BYTES and text.isprintable()
    if not fits or "/" in text or text in (".", ".."):
        raise ValueError("it cannot be part of the name of a file")
    return text


type FilePart = Annotated[str, AfterValidator(file_part)]
"""A text that names of files are made of."""


def refuse_unusable(data: object, depth: int = 0) -> None:
    """Refuse plain JSON data that holds a value which no later step can use.

    Parameters
    ----------
    data
        JSON data: dictionaries, lists, texts, numbers, booleans and None.
    depth
        Nesting of ``data`` in the data that contains it.

    Raises
    ------
    ValueError
        A number is not finite or does not fit in 64 bits, a text holds half of a surrogate pair,
        or the nesting is deeper than :data:`DEEPEST`.
    """
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    if isinstance(data, dict):
        for key, value in data.items():
            refuse_unusable(key, depth + 1)
            refuse_unusable(value, depth + 1)
    elif isinstance(data, list):
        for value in data:
            refuse_unusable(value, depth + 1)
    elif isinstance(data, str):
        # JSON can encode half of a surrogate pair, which cannot be written as UTF-8.
        if not data.isascii() and any("\ud800" <= letter <= "\udfff" for letter in data):
            raise ValueError("a text holds half of a surrogate pair")
    elif isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{data} is not a finite number")
    elif isinstance(data, int) and abs(data) > MOST:
        raise ValueError("an integer does not fit in 64 bits")

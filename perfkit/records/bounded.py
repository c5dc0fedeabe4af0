"""Values that a file may hold: numbers that can have been measured, and text that can be written.

A file can be damaged or made by hand. A number outside these bounds was never measured, and
overflows or divides by zero somewhere far from the file that it came from.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

MOST = 2**63 - 1
"""The largest integer that 64 bits hold; JSON writers and figures refuse larger ones."""

LONGEST_S = 1e10
"""About three centuries, in seconds."""

SHORTEST_PASS_S = 1e-9
"""Ratios of times stay finite; a process cannot time less than this."""

DEEPEST = 64
"""Nesting of the JSON of a record; an observer's data has five levels."""

type Count = Annotated[int, Field(ge=0, le=MOST)]
"""Bytes, page faults, elements: what is counted."""

type Bounded = Annotated[int, Field(ge=-MOST, le=MOST)]

type Finite = Annotated[float, Field(allow_inf_nan=False)]

type Seconds = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]

type Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def moment(text: str) -> str:
    """``text`` if it is a moment between 1970 and 9998 in ISO 8601.

    Raises
    ------
    ValueError
        It is not.
    """
    if not 1970 <= datetime.fromisoformat(text).year <= 9998:
        raise ValueError("the year is not between 1970 and 9998")
    return text


type Moment = Annotated[str, AfterValidator(moment)]
"""ISO 8601."""


def refuse_unusable(data: object, depth: int = 0) -> None:
    """Refuse plain JSON data that holds a value which no later step could use.

    Raises
    ------
    ValueError
        A number is not finite or does not fit in 64 bits, a text holds half a character, or the
        nesting is deeper than :data:`DEEPEST`.
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
        # JSON can name half of a pair of UTF-16, which no file takes back.
        if not data.isascii() and any("\ud800" <= letter <= "\udfff" for letter in data):
            raise ValueError("a text holds half a character")
    elif isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{data} is no measurement")
    elif isinstance(data, int) and abs(data) > MOST:
        raise ValueError("an integer does not fit in 64 bits")

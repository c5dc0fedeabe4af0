"""Reads JSON strictly: no duplicate keys, no NaN or infinity, no absurdly long numbers."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.errors import UserError
from perfkit.models.af3.inputs.text_file import read_text

_LONGEST_NUMBER = 100
"""Most digits of a whole number. Python itself refuses more than 4,300."""

_BEGINS = ("{", "[")
"""First characters of the inputs in JSON."""

_KINDS = "an input is JSON, which begins with '{' or '[', or FASTA, which begins with '>'"


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises
    ------
    UserError
        The file cannot be read or is not JSON; an object has a key twice, of which Python and
        upstream would silently drop the first; or a number is NaN, infinite or absurdly long.
    """
    text = read_text(path)
    try:
        raw: object = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        # Whoever gives another kind of file needs to know which are taken, not where it deviates.
        other = "" if text.lstrip()[:1] in _BEGINS else f" ({_KINDS})"
        raise UserError(
            f"the input {path} is not valid JSON: {error.msg} "
            f"at line {error.lineno}, column {error.colno}{other}"
        ) from error
    except _RefusalError as error:
        raise UserError(f"the input {path} {error}") from error
    except RecursionError as error:
        raise UserError(f"the input {path} is not valid JSON: it is nested too deeply") from error
    return raw


class _RefusalError(Exception):
    """Raised by a hook of the JSON parser; the message continues 'the input FILE'."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _RefusalError(
                f"has the key {json.dumps(key)} twice in one object, and all but the last would be "
                "lost: put each in an object of its own"
            )
        found[key] = value
    return found


def _constant(word: str) -> object:
    raise _RefusalError(f"contains {word}, which is not a number in JSON")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _RefusalError(f"contains a number of {len(digits):,} digits ({digits[:8]}...)")
    return int(digits)

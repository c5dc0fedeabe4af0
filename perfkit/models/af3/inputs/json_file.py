"""Reads JSON that nothing may be lost from: no key twice, no number that is none."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.errors import UserError
from perfkit.models.af3.inputs.text_file import read_text

_LONGEST_NUMBER = 100
"""Digits of the longest number; Python itself refuses more than 4,300."""


def read_json(path: Path) -> object:
    """The contents of a JSON file.

    Raises
    ------
    UserError
        It cannot be read, is no JSON, names a key of one object twice (of which Python, and
        upstream with it, silently forgets the first), or holds a number that is none.
    """
    text = read_text(path)
    try:
        raw: object = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        raise UserError(
            f"the input {path} is not valid JSON: {error.msg} "
            f"in line {error.lineno}, column {error.colno}"
        ) from error
    except _RefusalError as error:
        raise UserError(f"the input {path} {error}") from error
    except RecursionError as error:
        raise UserError(f"the input {path} is not valid JSON: it is nested too deeply") from error
    return raw


class _RefusalError(Exception):
    """What a hook of the JSON parser does not take; goes on after 'the input FILE'."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _RefusalError(
                f"names the key {json.dumps(key)} twice in one object, of which all but the last "
                "would be lost: give each its own object"
            )
        found[key] = value
    return found


def _constant(word: str) -> object:
    raise _RefusalError(f"holds {word}, which is not a number in JSON")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _RefusalError(f"holds a number of {len(digits):,} digits ({digits[:8]}...)")
    return int(digits)

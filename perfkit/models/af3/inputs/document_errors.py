"""What pydantic finds wrong in a document, as one sentence."""

from __future__ import annotations

from pydantic import ValidationError

_PLAIN_WORDS = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "too_short": "is empty or too short",
    "too_long": "is too long",
}
"""Pydantic's commonest errors in fewer words."""


def first_error(found: ValidationError) -> str:
    """Where in the JSON something is wrong, and what; of several errors the first."""
    error = found.errors(include_url=False)[0]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
    place = "".join(steps).lstrip(".")
    plain = _PLAIN_WORDS.get(error["type"])
    if plain:
        return f"{place} {plain}"
    reason = error["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    return f"{place}: {reason}" if place else reason

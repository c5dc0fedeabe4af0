"""The common parts of the schemas of fold inputs: base class, default seed, validation errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

DEFAULT_SEED = 1
"""Model seed of an input that names none. Upstream draws a random seed, which cannot be
reproduced."""

type Json = dict[str, Any]
"""A JSON object, as :func:`json.loads` returns it."""

_SHORT_REASONS = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "too_short": "is empty or too short",
    "too_long": "is too long",
}
"""Type of a common pydantic error -> a shorter description."""


class DocumentPart(BaseModel):
    """A JSON object with keys in camel case. Upstream's parser judges keys that are not fields."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


def first_error(found: ValidationError) -> str:
    """Describe the first error of a validation: its place in the JSON and the reason."""
    error = found.errors(include_url=False)[0]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
    place = "".join(steps).lstrip(".")
    short = _SHORT_REASONS.get(error["type"])
    if short:
        return f"{place} {short}"
    reason = error["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    return f"{place}: {reason}" if place else reason

"""Short reasons why a file, or a part of it, cannot be read."""

from __future__ import annotations

import json
import re

from pydantic import ValidationError

from perfkit.files import reason_of

_CLASS_NAME = re.compile(r" or instance of \w+")


def fault_of(error: OSError | ValueError | RecursionError) -> str:
    """The first fault in a few words, with its position in the data where it is known."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        what = _CLASS_NAME.sub("", first["msg"].removeprefix("Value error, "))
        return f"{place}: {what}" if place else what
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, OSError):
        return reason_of(error)
    return str(error)

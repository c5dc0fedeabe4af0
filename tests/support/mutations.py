"""Seeded damage to JSON files: unexpected values, keys and bytes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    10**15,
    -(10**30),
    10**400,
    0.0,
    -0.5,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "none",
    "<script>alert(1)</script>",
    "../../x",
    "a\0b",
    "\x1b[31m",
    "\ud800",
    "2026-13-45T99:99",
    "9" * 5000,
    [],
    {},
    [None],
    [[1]],
    {"a": None},
)
"""Values that replace any other value."""


def mutated(data: object, chance: random.Random) -> bytes:
    """The data as JSON with one to three faults."""
    damaged: object = copy.deepcopy(data)
    for _ in range(chance.randint(1, 3)):
        damaged = _mutated_value(damaged, chance)
    text = json.dumps(damaged).encode()
    if chance.random() < 0.15:
        return _mutated_bytes(text, chance)
    return text


def thinned(data: Any) -> Any:
    """The same data with at most four elements per list, for faster tests."""
    if isinstance(data, dict):
        return {key: thinned(value) for key, value in data.items()}
    return [thinned(value) for value in data[:4]] if isinstance(data, list) else data


def _mutated_value(data: Any, chance: random.Random) -> object:
    """Insert one fault. All lists and objects are equally likely, whatever their depth."""
    holders = [holder for holder in _holders(data) if holder]
    if not holders:
        return chance.choice(STRANGE)
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    fault = chance.randrange(5)
    if fault == 0:
        del holder[key]
    elif fault == 1 and isinstance(holder, dict):
        holder[chance.choice(["\n", "x", "", "version", "a\0b"])] = holder.pop(key)
    elif fault == 1:
        holder.append(holder[key])
    elif fault == 2 and isinstance(holder[key], (int, float)):
        holder[key] = holder[key] * chance.choice([-1, 0, 1e-30, 1e30, 10**25])
    else:
        holder[key] = copy.deepcopy(chance.choice(STRANGE))
    return data


def _holders(data: object) -> list[Any]:
    """All non-scalar values; only the first 20 elements of a list are searched."""
    if isinstance(data, dict):
        return [data, *(one for value in data.values() for one in _holders(value))]
    if isinstance(data, list):
        return [data, *(one for value in data[:20] for one in _holders(value))]
    return []


def _mutated_bytes(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text))
    fault = chance.randrange(3)
    if fault == 0:
        return text[:at]
    if fault == 1:
        return text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
    return text[:at] + text[at : at + 40] + text[at:]

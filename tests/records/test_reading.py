"""A line is read in one pass where that is possible, with the result of reading it step by step."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.records.reading import read_line
from perfkit.records.reason import fault_of
from perfkit.records.schema import Record
from perfkit.records.upgrades import NewerSchemaError, read_record
from tests.support.mutations import mutated

REPORTS = Path(__file__).parents[2] / "reports"
FILES = sorted(REPORTS.rglob("records-*.jsonl"))
MUTATIONS = 200
SEED = 20261126


def step_by_step(line: bytes) -> Record:
    return read_record(json.loads(line.decode("utf-8", errors="replace")))


def outcome(read: Callable[[bytes], Record], line: bytes) -> Record | tuple[type[Exception], str]:
    """The record, or the error and what it says."""
    try:
        return read(line)
    except NewerSchemaError as error:
        return NewerSchemaError, str(error)
    except (ValueError, RecursionError) as error:
        return type(error), fault_of(error)


def short(line: bytes) -> dict[str, Any]:
    """The data of a line without its samples, which are most of it."""
    data: dict[str, Any] = json.loads(line)
    return data | {"samples": None}


LINES = [line for path in FILES for line in path.read_bytes().splitlines()]
PROFILED = next(line for line in LINES if b'"observations":{"clocks"' in line)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_shipped_records_of_all_versions_are_read_alike(path: Path) -> None:
    for line in path.read_bytes().splitlines():
        assert read_line(line) == step_by_step(line)


def test_damaged_lines_have_the_same_result_or_the_same_fault() -> None:
    chance = random.Random(SEED)
    whole = [short(line) for line in (*LINES[::20], PROFILED)]
    seen = set()
    for _ in range(MUTATIONS):
        line = mutated(chance.choice(whole), chance)
        found = outcome(read_line, line)
        assert found == outcome(step_by_step, line)
        seen.add(isinstance(found, Record))
    assert seen == {True, False}


def _nested(levels: int) -> Any:
    return [] if levels == 0 else [_nested(levels - 1)]


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (("observations", "clocks", "data", "x"), float("nan"), "nan is not a finite number"),
        (("observations", "clocks", "data", "x"), 2**63, "an integer does not fit in 64 bits"),
        (("observations", "clocks", "data", "x"), _nested(70), "nested more than 64 levels deep"),
        (("workload", "source", "x"), float("-inf"), "-inf is not a finite number"),
        (("machine", "x"), 10**30, "an integer does not fit in 64 bits"),
        (("restrictions", "x"), [1, float("inf")], "inf is not a finite number"),
        (("agreement", "x"), float("nan"), "nan is not a finite number"),
        (("agreement", "quantities", 0, "x"), float("nan"), "nan is not a finite number"),
        (("finite", "leaves", 0, "x"), float("nan"), "nan is not a finite number"),
        (("guard", "x"), float("nan"), "nan is not a finite number"),
        (("guard", "sites", 0, "x"), float("nan"), "nan is not a finite number"),
    ],
)
def test_values_without_a_schema_are_bounded(
    place: tuple[str | int, ...], value: object, fault: str
) -> None:
    data = short(PROFILED)
    data.setdefault("restrictions", {})
    data["agreement"] = {"class": "none", "quantities": [{"name": "positions"}]}
    data["finite"] = {"finite": True, "leaves": [{"name": "x", "size": 1, "bad": 0}]}
    site = {"primitive": "sqrt", "file": "a", "line": 1, "function": "f", "lifted": 0, "zeroed": 0}
    data["guard"] = {"mode": "lift", "lifted": 0, "zeroed": 0, "sites": [site]}
    assert isinstance(read_line(json.dumps(data).encode()), Record)
    holder: Any = data
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    line = json.dumps(data).encode()
    assert outcome(read_line, line) == (ValueError, fault) == outcome(step_by_step, line)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(2**63 - 1, True), (-(2**63) + 1, True), (2**63, False), (-(10**30), False)],
)
@pytest.mark.parametrize(
    "place", [("load", "load_average_before"), ("finite", "leaves", 0, "fraction")]
)
def test_an_integer_in_the_place_of_a_float_fits_in_64_bits(
    place: tuple[str | int, ...], value: int, fits: bool
) -> None:
    data = short(PROFILED)
    data["finite"] = {"finite": True, "leaves": [{"name": "x", "size": 1, "bad": 0}]}
    holder: Any = data
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    line = json.dumps(data).encode()
    found = outcome(read_line, line)
    assert found == outcome(step_by_step, line)
    assert isinstance(found, Record) == fits

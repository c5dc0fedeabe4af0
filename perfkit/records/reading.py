"""Read a line of a file of records. Lines that hold a present record take one pass in Rust."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from perfkit.records.base import OpenModel
from perfkit.records.bounded import refuse_unusable
from perfkit.records.schema import SCHEMA_VERSION, Record
from perfkit.records.settings import FORMER_NAMES
from perfkit.records.upgrades import OLDER_VERSIONS, read_record

NESTING = 3
"""Nesting, in the line, of the values without a schema that lie deepest."""

LONG_INTEGER = b" " + 19 * b"0"
"""What an integer that may not fit in 64 bits is in a line translated by :data:`DIGITS`."""

DIGITS = bytes(
    ord("0") if chr(byte) in "0123456789" else ord(".") if chr(byte) == "." else ord(" ")
    for byte in range(256)
)
"""Translation of every digit to 0, and of all else but the point, which starts the digits of a
fraction, to a blank. Searching a translated line takes a tenth of the time of a pattern."""


def read_line(line: bytes) -> Record:
    """The record in one line of JSON, of any schema version.

    The result, or the error, is that of :func:`perfkit.records.upgrades.read_record` on the parsed
    line. Most lines are parsed and checked at once by pydantic, which is several times as fast.
    Only lines that it refuses, or that need more than a new version number, are parsed in Python.

    Parameters
    ----------
    line
        The line in UTF-8. Bytes that are not valid are read as U+FFFD.

    Raises
    ------
    NewerSchemaError
        The schema version is newer than :data:`~perfkit.records.schema.SCHEMA_VERSION`.
    ValueError
        The line is not JSON, not a record, or holds a value that no later step can use.
    RecursionError
        The JSON is nested too deeply to be parsed.
    """
    if LONG_INTEGER in line.translate(DIGITS):
        # A field of type float would take an integer of any size.
        return _read_in_python(line)
    try:
        record = Record.model_validate_json(line)
    except ValidationError:
        return _read_in_python(line)
    if not 0 <= record.schema_version <= SCHEMA_VERSION:
        return _read_in_python(line)
    if not FORMER_NAMES.isdisjoint(record.configuration.settings):
        return _read_in_python(line)
    for data in _without_schema(record):
        refuse_unusable(data, NESTING)
    if record.schema_version in OLDER_VERSIONS:
        return record.model_copy(update={"schema_version": SCHEMA_VERSION})
    return record


def _read_in_python(line: bytes) -> Record:
    return read_record(json.loads(line.decode("utf-8", errors="replace")))


def _without_schema(record: Record) -> Iterator[object]:
    """The values that no type of a field bounds."""
    yield record.workload.source
    for observation in record.observations.values():
        yield observation.data
    for model in _open_models(record):
        if model.__pydantic_extra__:
            yield model.__pydantic_extra__


def _open_models(record: Record) -> Iterator[OpenModel]:
    """The parts of a record that keep unknown fields."""
    yield record.machine
    yield record.restrictions
    if record.agreement is not None:
        yield record.agreement
        yield from record.agreement.quantities
    if record.finite is not None:
        yield record.finite
        yield from record.finite.leaves
    if record.guard is not None:
        yield record.guard
        yield from record.guard.sites

"""Grids and lists of configurations that a user asks for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.errors import UserError
from perfkit.input_files import read_toml
from perfkit.knobs.configuration import Catalogue, Configuration, parse_values


def parse_knob_values(catalogue: Catalogue, text: str) -> tuple[str, list[str]]:
    """Name and canonical values of ``NAME=V1,V2``, or ``NAME=V1;V2`` where values hold commas.

    Raises
    ------
    UserError
        The name or a value is impossible, or a value is given twice.
    """
    name, listed = parse_values(text)
    knob = catalogue.knob(name)
    separator = ";" if ";" in listed else ","
    values = [knob.canonical(value) for value in listed.split(separator)]
    if len(set(values)) != len(values):
        raise UserError(f"knob {name!r} is given the same value twice: {listed}")
    return name, values


def grid(catalogue: Catalogue, axes: Mapping[str, Sequence[str]]) -> list[Configuration]:
    """Every combination of the values of ``axes``; the last knob changes fastest."""
    combinations = itertools.product(*axes.values())
    found = [
        catalogue.configuration(dict(zip(axes, values, strict=True))) for values in combinations
    ]
    return list(dict.fromkeys(found))


def read_configurations(catalogue: Catalogue, path: Path) -> list[Configuration]:
    """Configurations from a TOML file with a list of tables ``[[configuration]]``.

    Each table holds knob values by name.

    Raises
    ------
    UserError
        The file cannot be read, or has other content.
    """
    tables = read_toml(path, "list of configurations").get("configuration")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise UserError(f"{path} holds no list of tables [[configuration]] with knob values")
    return list(dict.fromkeys(catalogue.configuration(_texts(table)) for table in tables))


def read_space(catalogue: Catalogue, path: Path) -> dict[str, list[str]]:
    """Canonical values of each knob from a TOML file with a table ``[knobs]``.

    An entry is a list of values, or a single value.

    Raises
    ------
    UserError
        The file cannot be read or has other content, or a name or a value is impossible.
    """
    content = read_toml(path, "search space")
    table = content.get("knobs")
    if not isinstance(table, dict) or not table or len(content) > 1:
        raise UserError(
            f"{path} has to hold one table [knobs] with a list of values for each knob, e.g. "
            'allocator = ["glibc", "jemalloc"]'
        )
    found: dict[str, list[str]] = {}
    for name, given in table.items():
        values = given if isinstance(given, list) else [given]
        if not values or any(isinstance(value, list | dict) for value in values):
            raise UserError(f"{path}: knob {name!r} needs a list of values")
        knob = catalogue.knob(name)
        found[name] = list(dict.fromkeys(knob.canonical(_text(value)) for value in values))
    return found


def _texts(table: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in table.items()}


def _text(value: object) -> str:
    """A value of TOML as a user writes it on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)

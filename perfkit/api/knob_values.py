"""Lists of knob values as a caller writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.api.subject import KnobValue, knob_text
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.space import parse_knob_values, read_space

type Values = KnobValue | Sequence[KnobValue]
"""Values of one axis: a sequence, or a single value; text may list several, with commas."""


def texts_of(values: Values) -> list[str]:
    """Each value as text."""
    if isinstance(values, str):
        return [word.strip() for word in values.split(",")]
    if isinstance(values, int | float):
        return [knob_text(values)]
    return [knob_text(value) for value in values]


def knob_values(catalogue: Catalogue, name: str, values: Values) -> list[str]:
    """Canonical values of a knob.

    Raises
    ------
    UserError
        The knob is unknown or a value impossible, or text lists a value twice.
    """
    if isinstance(values, str):
        return parse_knob_values(catalogue, f"{name}={values}")[1]
    knob = catalogue.knob(name)
    return list(dict.fromkeys(knob.canonical(value) for value in texts_of(values)))


def searched_knobs(
    catalogue: Catalogue,
    knobs: Sequence[str] | Mapping[str, Values | None] | None,
    space: Path | str | None,
) -> dict[str, list[str]] | None:
    """The knobs of a search: those of a file, and those that the caller names.

    Parameters
    ----------
    catalogue
        Knobs that may be set.
    knobs
        Names, or values by name; None stands for the values that are worth trying. They replace
        those of the file.
    space
        TOML file with a table ``[knobs]``, see :func:`perfkit.knobs.space.read_space`.

    Returns
    -------
    dict of str to list of str or None
        Canonical values by knob, empty for the values that are worth trying. None if neither
        argument is given.

    Raises
    ------
    UserError
        The file cannot be read, a knob is unknown, or a value is impossible.
    """
    if knobs is None and space is None:
        return None
    found = {} if space is None else read_space(catalogue, Path(space))
    named = knobs if isinstance(knobs, Mapping) else dict.fromkeys(knobs or ())
    for name, values in named.items():
        found[name] = [] if values is None else knob_values(catalogue, name, values)
    return found

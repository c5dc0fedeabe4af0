"""One thing that can be set, and what it may be set to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from perfkit.errors import UserError, unknown_name


class Layer(StrEnum):
    """Where a knob takes hold."""

    XLA = "xla"
    CPUS = "cpus"
    ALLOCATOR = "allocator"
    MODEL = "model"


def any_text(value: str) -> str:
    """Accept every single word as it is written: XLA splits its flags at blanks."""
    if len(value.split()) > 1:
        raise ValueError("it takes one word without blanks")
    return value


@dataclass(frozen=True)
class Knob:
    """A named setting with its stock value and the values worth trying.

    Parameters
    ----------
    name
        The name a user writes, e.g. ``allocator`` or ``xla_cpu_use_onednn``.
    default
        The value a user gets who sets nothing.
    values
        Values that a search tries, the default among them or not.
    layer
        Where the knob takes hold.
    exact
        Whether no value can change the answer beyond rounding.
    summary
        One line for a person.
    parse
        Turns what a user wrote into the canonical text of the value, or raises ``ValueError``
        with what is allowed.
    """

    name: str
    default: str
    values: tuple[str, ...]
    layer: Layer
    exact: bool
    summary: str
    parse: Callable[[str], str] = field(default=any_text, compare=False)

    def canonical(self, value: str) -> str:
        """The canonical text of ``value``.

        Raises
        ------
        UserError
            The value is impossible; the message names the knob and what is allowed.
        """
        try:
            return self.parse(value.strip())
        except ValueError as error:
            raise UserError(f"knob {self.name!r} cannot be {value!r}: {error}") from error


def one_of(*allowed: str) -> Callable[[str], str]:
    """A parser that takes one of ``allowed`` and names the nearest one otherwise."""

    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{unknown_name('value', value, allowed)} of {', '.join(allowed)}")
        return value

    return parse


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], str]:
    """A parser for whole numbers from ``minimum`` to ``maximum`` (both included)."""

    def parse(value: str) -> str:
        bounds = f"{minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"it takes a whole number, {bounds}") from None
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"it takes a whole number, {bounds}")
        return str(number)

    return parse


def boolean(value: str) -> str:
    """Canonical ``true`` or ``false``."""
    spelled = {"true": "true", "1": "true", "yes": "true", "on": "true"}
    spelled |= {"false": "false", "0": "false", "no": "false", "off": "false"}
    try:
        return spelled[value.lower()]
    except KeyError:
        raise ValueError("it takes true or false") from None

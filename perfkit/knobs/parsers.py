"""Parsers of knob values.

A parser takes what a user wrote and returns the canonical text of the value. It raises
``ValueError`` with what is allowed where the value is impossible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perfkit.errors import nearest, unknown_name

type Parser = Callable[[str], str]


@dataclass(frozen=True)
class Described:
    """A parser that says which values it accepts.

    Attributes
    ----------
    parse
        The parser.
    allowed
        The values that it accepts, for a list of knobs.
    """

    parse: Parser
    allowed: str

    def __call__(self, value: str) -> str:
        """The canonical text of ``value``, see :data:`Parser`."""
        return self.parse(value)


def allows(allowed: str) -> Callable[[Parser], Described]:
    """A decorator for a parser that states which values it accepts."""
    return lambda parse: Described(parse, allowed)


def allowed_text(parser: Parser) -> str | None:
    """The values that a parser accepts, or None where it does not say so."""
    return parser.allowed if isinstance(parser, Described) else None


@allows("any word")
def any_text(value: str) -> str:
    """Accept any single word as it is written: XLA splits its flags at blanks."""
    if len(value.split()) > 1 or not value.isprintable():
        raise ValueError("it takes one word without blanks and control characters")
    return value


@allows("true, false")
def boolean(value: str) -> str:
    """Canonical ``true`` or ``false``."""
    spelled = {"true": "true", "1": "true", "yes": "true", "on": "true"}
    spelled |= {"false": "false", "0": "false", "no": "false", "off": "false"}
    try:
        return spelled[value.lower()]
    except KeyError:
        raise ValueError("it takes true or false") from None


def one_of(*allowed: str) -> Parser:
    """A parser that accepts one of ``allowed`` and otherwise names the nearest."""

    @allows(", ".join(allowed))
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{unknown_name('value', value, allowed)} of {', '.join(allowed)}")
        return value

    return parse


def whole_number(minimum: int, maximum: int | None = None) -> Parser:
    """A parser of whole numbers from ``minimum`` to ``maximum``, both included."""
    bounds = f"{minimum} or more" if maximum is None else f"from {minimum} to {maximum}"

    @allows(f"a whole number, {bounds}")
    def parse(value: str) -> str:
        try:
            number = int(value)
        except ValueError:
            raise ValueError(f"it takes a whole number, {bounds}") from None
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"it takes a whole number, {bounds}")
        return str(number)

    return parse


def word_or_count(*words: str) -> Parser:
    """A parser that accepts one of ``words``, or a whole number of 1 or more."""
    count = whole_number(1)

    @allows(f"{', '.join(words)}, or a whole number, 1 or more")
    def parse(value: str) -> str:
        if value in words:
            return value
        try:
            return count(value)
        except ValueError:
            close = nearest(value, words)[0]
            raise ValueError(
                f"it takes {', '.join(words)} or a whole number, 1 or more; "
                f"the nearest is {close!r}"
            ) from None

    return parse

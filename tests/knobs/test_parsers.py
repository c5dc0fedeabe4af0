"""Parsers return one canonical text per value and refuse all others."""

from __future__ import annotations

import pytest

from perfkit.knobs.parsers import (
    Parser,
    allowed_text,
    any_text,
    boolean,
    one_of,
    whole_number,
    word_or_count,
)
from perfkit.models import get_model, model_names


@pytest.mark.parametrize(
    ("parse", "text", "canonical"),
    [
        (word_or_count("whole"), "whole", "whole"),
        (word_or_count("whole"), "0512", "512"),
        (whole_number(0, 3), "3", "3"),
        (whole_number(-1), "-1", "-1"),
        (boolean, "Yes", "true"),
        (boolean, "0", "false"),
        (one_of("a", "b"), "b", "b"),
        (any_text, "a=b,c", "a=b,c"),
    ],
)
def test_a_value_has_one_canonical_text(parse: Parser, text: str, canonical: str) -> None:
    assert parse(text) == canonical


@pytest.mark.parametrize(
    ("parse", "allowed"),
    [
        (any_text, "any word"),
        (boolean, "true, false"),
        (one_of("a", "b"), "a, b"),
        (whole_number(0, 3), "a whole number, from 0 to 3"),
        (whole_number(5), "a whole number, 5 or more"),
        (word_or_count("whole"), "whole, or a whole number, 1 or more"),
        (str.lower, None),
    ],
)
def test_a_parser_says_which_values_it_accepts(parse: Parser, allowed: str | None) -> None:
    assert allowed_text(parse) == allowed


@pytest.mark.parametrize("text", ["²", "0", "-1", "1.5", "", "whol", "9" * 5000, "1 2"])
def test_only_words_and_counts_are_accepted(text: str) -> None:
    message = "it takes whole or a whole number, 1 or more; the nearest is 'whole'"
    with pytest.raises(ValueError, match=message):
        word_or_count("whole")(text)


@pytest.mark.parametrize("model", model_names())
def test_superscript_digits_are_no_value_of_any_knob(model: str) -> None:
    for knob in get_model(model).knobs:
        with pytest.raises(ValueError, match=r"it takes|unknown value"):
            knob.parse("²")


def test_words_without_blanks_only() -> None:
    with pytest.raises(ValueError, match="it takes one word without blanks"):
        any_text("a b")

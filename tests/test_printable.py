"""Printed text is visible, on one line, and in the order in which it is stored."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A/B complex αβ 蛋白", "A/B complex αβ 蛋白"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("half \ud800", "half \\ud800"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_invisible_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_no_character_that_controls_a_terminal_remains(text: str) -> None:
    controlling = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not controlling & {unicodedata.category(letter) for letter in printable(text)}


def test_characters_to_keep_are_not_escaped() -> None:
    assert printable("a\nb\x07", keep="\n") == "a\nb\\x07"

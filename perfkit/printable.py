"""Make text from files and other programs safe to print."""

from __future__ import annotations

import unicodedata

_SPACE = "Zs"
"""Unicode's category of spaces. Python considers only one of them printable."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape every character that is invisible or changes the display of others.

    These are control characters (terminal escape sequences begin with one), line breaks, overrides
    of the reading direction, other format characters and lone surrogates. They are escaped as in
    Python, for example ``\x1b``.

    Parameters
    ----------
    text
        Any text.
    keep
        Characters that are not escaped, for example a newline.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in keep or unicodedata.category(letter) == _SPACE
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )

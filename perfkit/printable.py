"""Text from files and other programs, made fit to be shown on a line."""

from __future__ import annotations

import unicodedata

_SPACE = "Zs"
"""Unicode's category of spaces, of which Python takes only one for printable."""


def printable(text: str, *, keep: str = "") -> str:
    r"""``text`` with every character that draws nothing, or moves what others draw, escaped.

    Those are the control characters (escape sequences of terminals begin with one), line breaks,
    overrides of the reading direction, other format characters and halves of surrogate pairs. They
    are shown as Python writes them, e.g. ``\x1b``.

    Parameters
    ----------
    text
        Anything.
    keep
        Characters to leave as they are, e.g. a newline.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in keep or unicodedata.category(letter) == _SPACE
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )

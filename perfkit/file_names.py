"""Names from files and command lines as names of files."""

from __future__ import annotations

import re
import string

from perfkit.files import short_digest

LIMIT_BYTES = 180
"""File systems take 255 bytes; the rest is left to what is put before and after a name, of which
the longest is AlphaFold 3's ``_seed-4294967295_sample-999_summary_confidences.json``."""

DIGEST_CHARACTERS = 10

UNNAMED = "unnamed"

LEAST_LIMIT_BYTES = len(UNNAMED) + 1 + DIGEST_CHARACTERS

_KEPT = frozenset(string.ascii_letters + string.digits + "_-.")

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Devices on Windows, whatever follows the dot; network drives refuse such files."""


def file_name(text: str, *, limit: int = LIMIT_BYTES) -> str:
    """``text`` as one component of a path, which is also one literal word of a shell or a glob.

    The result is what AlphaFold 3's ``Input.sanitised_name`` gives: spaces become underscores,
    and of the rest only ASCII letters, digits, underscores, dashes and dots are kept. Where that
    is no safe name (nothing is left, it begins with a dot or a dash, holds ``..``, is reserved or
    too long), it is mended, and a digest of ``text`` at its end keeps different texts apart.

    Two texts that differ only in what is dropped (``A/B`` and ``AB``) have the same file name.

    Parameters
    ----------
    text
        Anything, e.g. the name of a fold input.
    limit
        Most bytes that the result may have, at least :data:`LEAST_LIMIT_BYTES`.

    Returns
    -------
    str
        Between 1 and ``limit`` ASCII characters. A file name that was made so is its own file name.

    Raises
    ------
    ValueError
        ``limit`` is too small.
    """
    if limit < LEAST_LIMIT_BYTES:
        raise ValueError(f"the limit of a file name is {LEAST_LIMIT_BYTES} or more, not {limit}")
    plain = "".join(letter for letter in text.replace(" ", "_") if letter in _KEPT)
    mended = re.sub(r"\.{2,}", ".", plain).lstrip(".-")
    if _RESERVED.match(mended):
        mended = f"_{mended}"
    if mended == plain and 0 < len(plain) <= limit:
        return plain
    digest = short_digest(text, DIGEST_CHARACTERS)
    return f"{mended[: limit - DIGEST_CHARACTERS - 1] or UNNAMED}-{digest}"

"""Turn arbitrary names into safe file names."""

from __future__ import annotations

import re
import string

from perfkit.files import short_digest

LIMIT_BYTES = 180
"""Most bytes of a name. File systems allow 255 bytes, which leaves room for prefixes and suffixes.
The longest is AlphaFold 3's ``_seed-4294967295_sample-999_summary_confidences.json``."""

DIGEST_CHARACTERS = 10
"""Characters of the digest that distinguishes changed names."""

UNNAMED = "unnamed"
"""Name in place of a text without any usable character."""

LEAST_LIMIT_BYTES = len(UNNAMED) + 1 + DIGEST_CHARACTERS
"""Smallest limit that has room for a name with a digest."""

_ALLOWED = frozenset(string.ascii_letters + string.digits + "_-.")

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names of devices on Windows, with any extension. Network drives refuse such files."""


def file_name(text: str, *, limit: int = LIMIT_BYTES) -> str:
    """Turn a text into a file name that is also a literal word in a shell and in a glob pattern.

    The result equals AlphaFold 3's ``Input.sanitised_name``: spaces become underscores, and all
    characters except ASCII letters, digits, underscores, dashes and dots are dropped. If this name
    is not safe (it is empty, begins with a dot or a dash, contains ``..``, is reserved or too
    long), it is changed, and a digest of ``text`` is appended to keep different texts apart.

    Texts that differ only in dropped characters (``A/B`` and ``AB``) have the same file name.

    Parameters
    ----------
    text
        Any text, for example the name of a fold input.
    limit
        Most bytes of the result, at least :data:`LEAST_LIMIT_BYTES`.

    Returns
    -------
    str
        Between 1 and ``limit`` ASCII characters. The function maps its results to themselves.

    Raises
    ------
    ValueError
        ``limit`` is smaller than :data:`LEAST_LIMIT_BYTES`.
    """
    if limit < LEAST_LIMIT_BYTES:
        raise ValueError(f"the limit must be {LEAST_LIMIT_BYTES} or more, not {limit}")
    plain = "".join(letter for letter in text.replace(" ", "_") if letter in _ALLOWED)
    changed = re.sub(r"\.{2,}", ".", plain).lstrip(".-")
    if _RESERVED.match(changed):
        changed = f"_{changed}"
    if changed == plain and 0 < len(plain) <= limit:
        return plain
    digest = short_digest(text, DIGEST_CHARACTERS)
    return f"{changed[: limit - DIGEST_CHARACTERS - 1] or UNNAMED}-{digest}"

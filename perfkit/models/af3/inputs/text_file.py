"""Reads an input that a person wrote."""

from __future__ import annotations

from pathlib import Path

from perfkit.errors import UserError


def read_text(path: Path) -> str:
    """The text of an input, without the byte-order mark that Windows programs begin it with.

    Raises
    ------
    UserError
        It cannot be read, is empty or is no text in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the input {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the input {path} is not a text file in UTF-8") from error
    except ValueError as error:
        raise UserError(f"the input {str(path)!r} cannot be read: {error}") from error
    if not text.strip():
        raise UserError(f"the input {path} is empty")
    return text

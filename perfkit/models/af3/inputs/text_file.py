"""Reads the text of an input file."""

from __future__ import annotations

from pathlib import Path

from perfkit.errors import UserError


def read_text(path: Path) -> str:
    """Read the text of an input, without the byte-order mark that Windows programs write.

    Raises
    ------
    UserError
        The file cannot be read, is empty or is not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the input {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the input {path} is not a UTF-8 text file") from error
    except ValueError as error:
        raise UserError(f"the input {str(path)!r} cannot be read: {error}") from error
    if not text.strip():
        raise UserError(f"the input {path} is empty")
    return text

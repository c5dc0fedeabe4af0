"""Reads the text of an input file."""

from __future__ import annotations

from pathlib import Path

from perfkit.errors import UserError
from perfkit.input_files import read_bytes
from perfkit.models.af3.inputs.unpacked import MOST_BYTES


def read_text(path: Path) -> str:
    """Read the text of an input, without the byte-order mark that Windows programs write.

    Raises
    ------
    UserError
        The file cannot be read, is too large, is empty or is not UTF-8 text.
    """
    content = read_bytes(path, "input", MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"the input {path} is not a UTF-8 text file") from error
    if not text.strip():
        raise UserError(f"the input {path} is empty")
    return text

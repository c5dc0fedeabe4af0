"""Turns the exceptions that upstream raises for a bad input into one sentence."""

from __future__ import annotations

import lzma
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfkit.errors import UserError

REFUSALS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""Exceptions of upstream's parser and data pipeline that mean a bad input."""

_LONGEST_REASON = 300
"""Characters shown of an upstream message. Some messages quote whole sequences."""


def brief(error: Exception | str) -> str:
    """Return an upstream message as one line of at most :data:`_LONGEST_REASON` characters."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...") or type(error).__name__


@contextmanager
def parsing(path: Path | None) -> Iterator[None]:
    """Turn an exception of upstream's parser into one sentence that names the input's file.

    Parameters
    ----------
    path
        The input's file, for messages.

    Raises
    ------
    UserError
        The parser has refused the input, or a file that the input refers to cannot be read.
    """
    import zstandard

    try:
        yield
    except KeyError as error:
        raise UserError(f"{path}: the key {error} is missing") from error
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
        raise UserError(f"a file that {path} refers to cannot be read: {brief(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"a file that {path} refers to is not a UTF-8 text file") from error
    except REFUSALS as error:
        raise UserError(f"{path} is not a valid fold input: {brief(error)}") from error

"""What upstream raises for a bad input, as one sentence."""

from __future__ import annotations

import lzma
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfkit.errors import UserError

REFUSALS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""What upstream's parser and its data pipeline raise when they do not take an input."""

_LONGEST_REASON = 300
"""Characters kept of an upstream message, some of which quote whole sequences."""


def brief(error: Exception | str) -> str:
    """What upstream says, in one line of bearable length."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...") or type(error).__name__


@contextmanager
def parsing(path: Path | None) -> Iterator[None]:
    """Turns what upstream's parser raises into one sentence that names the input's file."""
    import zstandard

    try:
        yield
    except KeyError as error:
        raise UserError(f"{path}: the key {error} is missing") from error
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
        raise UserError(f"a file that {path} refers to cannot be read: {brief(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"a file that {path} refers to is not a text file in UTF-8") from error
    except REFUSALS as error:
        raise UserError(f"{path} is not a valid fold input: {brief(error)}") from error

"""How a script ends: with what it found, or with one sentence about bad input."""

from __future__ import annotations

import sys
from collections.abc import Callable

from perfkit.errors import UserError


def ended(work: Callable[[], str]) -> int:
    """Do the work of a script and print the text that it returns.

    Returns
    -------
    int
        The exit code: 0, or that of a :class:`perfkit.errors.UserError`, whose sentence is printed.
    """
    try:
        text = work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(text)
    return 0

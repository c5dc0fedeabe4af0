"""The output of the child processes of the diagnosis."""

from __future__ import annotations


def last_line(text: str) -> str:
    """Return the last line of a child's output that is not blank, or an empty string."""
    return (text.strip().splitlines() or [""])[-1]

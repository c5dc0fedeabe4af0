"""A table of plain texts, for the terminal and the page alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlainTable:
    """Headings and rows of equal length; nothing is escaped yet."""

    heading: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

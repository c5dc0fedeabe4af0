"""A table of texts, for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING = "-"
"""Text of a cell for which there is no value."""


@dataclass(frozen=True)
class PlainTable:
    """A table of texts, which are not escaped yet.

    Attributes
    ----------
    heading
        Heading above the table.
    headers
        Headers of the columns.
    rows
        Rows of cells, each as long as ``headers``.
    folded
        Whether a page shows only the heading until the reader opens the table.
    """

    heading: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False

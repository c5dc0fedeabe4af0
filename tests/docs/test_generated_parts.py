"""Generated parts of the documentation say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from perfkit.models.af3.jobs import COLUMNS as AF3_COLUMNS
from perfkit.models.gencast.costs import GenCastCosts
from scripts.documentation import PARTS, on_page_markdown

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


class Example(BaseModel):
    """A table.

    Attributes
    ----------
    first, second
        Two numbers, see :class:`Example`.
    third
        A text
        of two lines.

    Notes
    -----
    Not a field.
    """

    first: int
    second: int | None = None
    third: str = "a|b"


def test_a_table_has_a_row_per_field() -> None:
    assert on_page_markdown(f"{{{{ fields {__name__}.Example }}}}").splitlines()[2:] == [
        "| `first` | `int` | required | Two numbers, see `Example`. |",
        "| `second` | `int \\| None` | `none` | Two numbers, see `Example`. |",
        '| `third` | `str` | `"a\\|b"` | A text of two lines. |',
    ]


def test_an_unknown_part_is_an_error() -> None:
    with pytest.raises(KeyError, match="unknown"):
        on_page_markdown("{{ unknown part }}")


def test_help_of_a_command_is_a_block() -> None:
    shown = PARTS["command"]("report")
    assert shown.startswith("```text\nusage: perfkit report")
    assert "--html" in shown


def test_every_column_of_a_job_is_described() -> None:
    table = FORMATS.split("## Jobs of a queue")[1].split("\n## ")[0]
    missing = {name for name in (*AF3_COLUMNS, *GenCastCosts.columns) if f"`{name}`" not in table}
    assert missing == set()

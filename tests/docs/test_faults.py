"""The tables of faults name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]

NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_each_test_that_the_tables_name_exists() -> None:
    named = NAMED.findall((TESTS.parent / "docs" / "faults.md").read_text())
    assert len(named) > 25
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (TESTS / file).read_text()
    ]
    assert missing == []

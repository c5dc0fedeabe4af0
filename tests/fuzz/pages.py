"""Finds elements and scripts in a page that names from files have made."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from tests.fuzz.damage import MARK


class _Hostile(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag == "script"
        if any(name.startswith("on") for name, _ in attrs):
            self.found.append(f"<{tag}> with a handler")

    def handle_data(self, data: str) -> None:
        # A name in the data of a figure is within quotes.
        if self._script and data.lstrip().startswith(MARK):
            self.found.append("a script")


def ensure_no_hostile_element(page: Path) -> None:
    """Fail if a page holds an element that a hostile name has made."""
    parser = _Hostile()
    parser.feed(page.read_text(encoding="utf-8"))
    parser.close()
    assert parser.found == []

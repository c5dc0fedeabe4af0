"""Build the pages of the studies in ``reports/`` from their data: ``make reports``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from perfkit.api.reporting import render_report
from perfkit.records.store import PATTERN
from perfkit.report.export.browser import find_browser

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"

PICTURE = REPORTS / "af3-ubiquitin-native" / "report.png"
"""Picture that the README shows, of the page in the same folder."""

PICTURE_SIZE_PX = (1080, 1240)
"""Width and height of the picture: the page at its full width, down to the end of the answer."""


def studies(reports: Path = REPORTS) -> Iterator[Path]:
    """The folders with records, each of which has a page."""
    yield from sorted({path.parent for path in reports.rglob(PATTERN)})


def build(reports: Path = REPORTS) -> Iterator[Path]:
    """Build every page next to its data.

    Yields
    ------
    Path
        File of a page.

    Raises
    ------
    UserError
        Data cannot be read, or a page cannot be written.
    """
    for folder in studies(reports):
        yield render_report(folder).page


def take_picture(picture: Path = PICTURE) -> None:
    """Take the picture for the README of the page next to it, which is built first.

    Raises
    ------
    UserError
        There is no browser on this machine.
    """
    browser = find_browser()
    # A page names its preset as its folder was named: relative to the checkout.
    with contextlib.chdir(ROOT):
        page = render_report(picture.parent.relative_to(ROOT)).page.resolve()
    browser.picture(page, picture, *PICTURE_SIZE_PX)


def main() -> None:
    """Build all pages, or take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", action="store_true", help="only take the README's picture")
    if parser.parse_args().picture:
        take_picture()
        print(PICTURE.relative_to(ROOT))
        return
    with contextlib.chdir(ROOT):
        for page in build(REPORTS.relative_to(ROOT)):
            print(page)


if __name__ == "__main__":
    main()

"""Pages in a real browser: on a desktop and on a phone, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.reporting import render_report
from perfkit.records.store import read_folder
from perfkit.report.profile.page import profile_page
from perfkit.report.writing import write_report
from tests.support.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

REPORTS = Path(__file__).parents[2] / "reports"
STUDIES = ("af3-256-amx", "af3-ubiquitin-native", "gencast-1deg")
PROFILE = "profile-af3-ubiquitin"
DESKTOP, PHONE = 1280, 420

LOOK = """
(() => {
  const inside = (text, box) => {
    const own = text.getBoundingClientRect();
    return own.width === 0
      || (own.left >= box.left - 2 && own.right <= box.right + 2
          && own.top >= box.top - 2 && own.bottom <= box.bottom + 2);
  };
  const plots = [...document.querySelectorAll(".plotly-graph-div")];
  const cut = [];
  for (const plot of plots) {
    const box = plot.getBoundingClientRect();
    for (const text of plot.querySelectorAll("text")) {
      if (text.textContent.trim() && !inside(text, box)) {
        cut.push(`${plot.id}: ${text.textContent}`);
      }
    }
  }
  // A word that is broken letter by letter has more lines than there are words.
  const broken = [...document.querySelectorAll("td, th")].filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const tops = new Set([...range.getClientRects()].map((line) => Math.round(line.top)));
    const text = cell.textContent.trim();
    return tops.size > text.split(/\\s+/).length + text.length / 20;
  }).map((cell) => cell.textContent.trim());
  const root = document.scrollingElement;
  return {
    plots: plots.length,
    drawn: plots.filter((plot) => plot.querySelector(".main-svg .trace path")).length,
    wide: root.scrollWidth - window.innerWidth,
    cut,
    broken,
    background: getComputedStyle(document.body).backgroundColor,
  };
})()
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of the shipped studies and of the shipped profile."""
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name}.html" for name in (*STUDIES, PROFILE)}
    for name in STUDIES:
        render_report(REPORTS / name, html=made[name])
    record = read_folder(REPORTS / PROFILE).records[-1]
    write_report(made[PROFILE], profile_page(record, folder))
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", [*STUDIES, PROFILE])
def test_a_page_is_whole_on_desktop_and_phone_in_light_and_dark(
    name: str, pages: dict[str, Path], browser: Browser
) -> None:
    browser.show(DESKTOP)
    browser.open(pages[name])
    for dark in (False, True):
        for width in (DESKTOP, PHONE):
            browser.show(width, dark=dark)
            seen: dict[str, Any] = browser.evaluate(LOOK)
            assert seen["plots"] > 3
            assert seen["drawn"] == seen["plots"]
            assert seen["wide"] <= 0
            assert seen["cut"] == []
            assert seen["broken"] == []
            assert (seen["background"] == "rgb(255, 255, 255)") is not dark
    assert browser.errors == []
    assert browser.requests == [pages[name].as_uri()]


def test_the_copy_button_puts_the_command_on_the_clipboard(
    pages: dict[str, Path], browser: Browser
) -> None:
    browser.show(DESKTOP)
    browser.open(pages["af3-256-amx"])
    browser.allow_clipboard()
    command = browser.evaluate("document.querySelector('.command code').textContent")
    assert command.startswith("perfkit exec --preset ")
    browser.evaluate("document.querySelector('button.copy').click()")
    copied = (
        "new Promise((done) => setTimeout(done, 100)).then(() => navigator.clipboard.readText())"
    )
    assert browser.evaluate(copied) == command
    assert browser.evaluate("document.querySelector('button.copy').textContent") == "Copied"
    assert browser.evaluate("document.getElementById('copied').textContent") == (
        "Copied to the clipboard"
    )

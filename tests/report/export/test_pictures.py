"""Pictures of the figures of a page come from a browser, and its failures are one sentence."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.records.schema import Record
from perfkit.report.export.browser import BROWSERS, Browser, Run, find_browser
from perfkit.report.export.pictures import Picture, pictures_of, write_pictures
from perfkit.report.study.page import study_page
from perfkit.tuning.choice.recommend import recommend

PAGE = '<html><body><div class="plotly-graph-div"></div></body></html>'


def answering(output: str, code: int = 0) -> Run:
    """Stands for the browser: keeps nothing, and prints a document."""

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        assert command[-1].startswith("file://")
        return subprocess.CompletedProcess(command, code, output.encode(), b"")

    return run


def test_pictures_are_read_from_the_document_of_the_browser() -> None:
    document = (
        '<html><body><pre id="perfkit-pictures">[{"heading": "Time &amp; memory", '
        '"data": "data:image/png;base64,cGljdHVyZQ=="}]</pre></body></html>'
    )
    browser = Browser("chromium", answering(document))
    assert pictures_of(PAGE, browser) == [Picture("Time & memory", b"picture")]


def test_pictures_are_named_by_number_and_heading(tmp_path: Path) -> None:
    pictures = [Picture("Speed-up over stock", b"a"), Picture("../<evil>", b"b")]
    write_pictures(tmp_path / "png", pictures)
    written = {path.name: path.read_bytes() for path in (tmp_path / "png").glob("*.png")}
    assert written["01-speed-up-over-stock.png"] == b"a"
    assert len(written) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["png"]


def test_a_page_without_figures_needs_no_browser() -> None:
    def fails(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        raise AssertionError

    assert pictures_of("<html><body></body></html>", Browser("chromium", fails)) == []


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (answering("", code=21), "ended with exit code 21; no picture was written"),
        (answering("<html></html>"), "did not draw the figures"),
        (answering('<pre id="perfkit-pictures">[{}]</pre>'), "cannot be read"),
        (answering('<pre id="perfkit-pictures">[</pre>'), "cannot be read"),
    ],
)
def test_a_browser_that_fails_is_one_sentence(run: Run, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pictures_of(PAGE, Browser("chromium", run))


def test_a_browser_that_hangs_or_cannot_start_is_one_sentence() -> None:
    def hangs(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        raise subprocess.TimeoutExpired(command, 180)

    with pytest.raises(UserError, match="did not end within 180 s"):
        pictures_of(PAGE, Browser("chromium", hangs))
    with pytest.raises(UserError, match=r"cannot be started \(No such file"):
        pictures_of(PAGE, Browser("/nowhere/chromium"))


def test_the_first_browser_on_the_path_is_taken() -> None:
    assert find_browser(lambda name: f"/bin/{name}" if "chrome" in name else None) == Browser(
        "/bin/google-chrome"
    )
    with pytest.raises(UserError, match="neither Chromium nor Google Chrome"):
        find_browser(lambda name: None)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser is installed")
def test_a_real_browser_draws_every_figure(study: list[Record]) -> None:
    page = study_page(study, recommend(study), [], "A study", None)
    pictures = pictures_of(page, find_browser())
    assert [picture.heading for picture in pictures[:3]] == [
        "Effect of each setting",
        "Importance of each knob",
        "Speed-up over stock",
    ]
    assert len(pictures) == page.count('class="plotly-graph-div"')
    for picture in pictures:
        signature, width, height = struct.unpack(">8s8xII", picture.png[:24])
        assert signature == b"\x89PNG\r\n\x1a\n"
        # Two pixels for each pixel of the page.
        assert width > 1000
        assert height > 300

"""Every page of the shipped studies is built from the data in the repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.build_reports import PICTURE, REPORTS, build, studies

ROOT = Path(__file__).parents[2]

MOST_PAGE_BYTES = 6_000_000

MOST_TRACKED_BYTES = 100_000
"""A page holds plotly.js and is larger; a page without it may be kept."""

STATED = {
    "af3-ubiquitin-native/report.html": (
        "8.71 times as fast as stock (95 % interval 8.48 to 9.03, 9 pairs of fresh processes)",
        "4 min 38 s [4 min 8 s, 5 min 10 s]",
        "Production time by part",
    ),
    "af3-256-amx/report.html": (
        "5.00 times as fast as stock (95 % interval 4.92 to 5.08, 6 pairs of fresh processes)",
    ),
    "gencast-1deg/report.html": ("Production time by part",),
    "gencast-1deg-20-levels/report.html": ("1 trial, 2026-11-24",),
    "plan-accuracy/af3/report.html": ("scaling laws of af3", "Error of predicted memory"),
    "profile-af3-ubiquitin/profile.html": ("Roofline", "Heap at its peak", "(missing)"),
}
"""Texts of pages, from ``reports/README.md`` and from the kind of the page."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All pages, built in a copy of the data."""
    copy = tmp_path_factory.mktemp("built") / "reports"
    shutil.copytree(REPORTS, copy, ignore=shutil.ignore_patterns("*.html", "*.png"))
    return {page.relative_to(copy).as_posix(): page for page in build(copy)}


def test_each_study_has_a_page_of_bounded_size(built: dict[str, Path]) -> None:
    assert {Path(name).parent for name in built} == {
        path.relative_to(REPORTS) for path in studies()
    }
    sizes = {name: page.stat().st_size for name, page in built.items()}
    assert max(sizes.values()) < MOST_PAGE_BYTES, sizes


def test_pages_hold_what_the_readme_states(built: dict[str, Path]) -> None:
    for name, texts in STATED.items():
        page = built[name].read_text(encoding="utf-8")
        for text in texts:
            assert text in page, (name, text)


def test_no_page_is_in_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "*.html"], capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.splitlines()]
    large = [path for path in files if path.exists() and path.stat().st_size > MOST_TRACKED_BYTES]
    assert large == []


def test_the_picture_of_the_readme_is_small() -> None:
    assert f"]({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
    content = PICTURE.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 200_000

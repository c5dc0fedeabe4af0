"""A bundle opens on another machine, and holds nothing but what belongs to its page."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from perfkit.cli.main import main
from perfkit.records.schema import Record
from perfkit.records.store import Store, read_folder
from perfkit.report.export.outputs import MANIFEST, files_below

type Study = list[Record]

ARTIFACTS = {
    "log": "trials/a/log.txt",
    "answers": "trials/a/answers",
    "gone": "trials/a/gone.txt",
    "secret": "../secret.txt",
    "linked": "trials/a/link.txt",
}


@pytest.fixture
def folder(tmp_path: Path, study: Study) -> Path:
    """The folder of a tuning with artifacts, of which one is missing and two lie elsewhere."""
    folder = tmp_path / "tuned"
    store = Store(folder)
    for record in study[:-1]:
        store.append(record)
    store.append(study[-1].model_copy(update={"artifacts": ARTIFACTS}))
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "trials/a/answers").mkdir(parents=True)
    (folder / "trials/a/log.txt").write_text("log")
    (folder / "trials/a/answers/x.npz").write_bytes(b"x")
    (folder / "trials/a/answers/link").symlink_to(tmp_path / "secret.txt")
    (folder / "trials/a/link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "trials/b.txt").write_text("of another study")
    (folder / "preset.toml").write_text("format = 1")
    return folder


WANTED = [
    MANIFEST,
    "preset.toml",
    "records-bundle.jsonl",
    "report.html",
    "trials/a/answers/x.npz",
    "trials/a/log.txt",
]


def test_an_archive_opens_elsewhere(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = read_folder(folder).records
    path = tmp_path / "study.zip"
    assert main(["report", str(folder), "--bundle", str(path)]) == 0
    printed = capsys.readouterr().out
    assert f"bundle: {path}\n" in printed
    assert (
        "note: 3 files that the page names could not be added to the bundle: trials/a/gone.txt "
        "and 2 more\n"
    ) in printed
    shutil.rmtree(folder)
    elsewhere = tmp_path / "elsewhere"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(elsewhere)
    assert files_below(elsewhere) == WANTED
    assert read_folder(elsewhere).records == records
    page = (elsewhere / "report.html").read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]*>", "", page)
    assert "perfkit exec --preset preset.toml -- CMD" in shown
    assert str(tmp_path) not in page
    assert main(["report", str(elsewhere)]) == 0


def test_a_folder_is_a_bundle_too(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    for _ in range(2):
        assert main(["report", str(folder), "--bundle", str(path)]) == 0
        assert files_below(path) == WANTED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--bundle study.tar.gz", "a bundle is a folder or a file that ends in .zip, and "),
        ("--bundle missing/study.zip", "there is no folder missing"),
        ("--bundle missing/study", "there is no folder missing"),
        ("--bundle taken", "the folder taken holds files that perfkit did not write"),
        ("--bundle taken.zip", "taken.zip exists and is no bundle of perfkit"),
        ("--data taken", "name a new or an empty folder for the data"),
        ("--data taken.zip", "the data taken.zip is a file, and a folder is needed"),
        ("--png taken", "name a new or an empty folder for the pictures"),
        ("--png new", "neither Chromium nor Google Chrome is on the PATH"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_and_nothing_is_lost(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    (tmp_path / "taken.zip").write_text("mine")
    before = files_below(tmp_path)
    assert main(["report", str(folder), *arguments.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("perfkit: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert files_below(tmp_path) == before

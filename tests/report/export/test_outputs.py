"""Outputs appear as a whole, replace what perfkit wrote, and never touch what others wrote."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from perfkit.errors import NotWrittenError, UserError
from perfkit.report.export.outputs import MANIFEST, files_below, written_archive, written_folder
from tests.support.limits import files_of_at_most


def write(path: Path, contents: Mapping[str, str]) -> None:
    with written_folder(path, "data") as files:
        for name, content in contents.items():
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            (files / name).write_text(content)


def archive(path: Path, contents: Mapping[str, str]) -> None:
    with written_archive(path, "bundle") as files:
        for name, content in contents.items():
            (files / name).write_text(content)


def contents(path: Path) -> dict[str, str]:
    return {name: (path / name).read_text() for name in files_below(path) if name != MANIFEST}


def test_a_folder_is_replaced_and_the_files_of_others_in_it_stay(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    write(out, {"a.csv": "1", "below/b.csv": "2"})
    (out / "mine.txt").write_text("kept")
    write(out, {"a.csv": "3", "c.csv": "4"})
    assert contents(out) == {"a.csv": "3", "c.csv": "4", "mine.txt": "kept"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", {"a.csv": "1"})
    assert contents(tmp_path / "out") == {"a.csv": "1"}


@pytest.mark.parametrize("manifest", [None, "{}", '{"perfkit": "1", "files": ["../a.csv"]}'])
def test_a_folder_of_others_is_refused(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "a.csv").write_text("mine")
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(UserError, match="holds files that perfkit did not write"):
        write(tmp_path, {"a.csv": "1"})
    assert (tmp_path / "a.csv").read_text() == "mine"


def test_a_file_of_others_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"a.csv": "1"})
    (out / "b.csv").write_text("mine")
    with pytest.raises(UserError, match=r"b\.csv exists, and perfkit did not write it"):
        write(out, {"a.csv": "2", "b.csv": "2"})
    assert contents(out) == {"a.csv": "1", "b.csv": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_leaves_the_earlier_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"a.csv": "1"})
    with files_of_at_most(100), pytest.raises(NotWrittenError, match=r"cannot be written \("):
        write(out, {"a.csv": "x" * 5000})
    assert contents(out) == {"a.csv": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="is a file, and a folder is needed"):
        write(tmp_path / "out", {"a.csv": "1"})
    assert (tmp_path / "out").read_text() == "mine"


def test_an_archive_is_replaced_if_perfkit_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    archive(path, {"a": "1"})
    archive(path, {"b": "2"})
    with zipfile.ZipFile(path) as read:
        assert sorted(read.namelist()) == ["b", MANIFEST]
        assert read.read("b") == b"2"
    assert [one.name for one in tmp_path.iterdir()] == ["out.zip"]


def test_an_archive_of_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    with zipfile.ZipFile(path, "w") as mine:
        mine.writestr("a", "mine")
    with pytest.raises(UserError, match="exists and is no bundle of perfkit"):
        archive(path, {"a": "1"})
    path.write_text("no archive")
    with pytest.raises(UserError, match="exists and is no bundle of perfkit"):
        archive(path, {"a": "1"})
    assert path.read_text() == "no archive"


def test_an_archive_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        archive(tmp_path / "missing" / "out.zip", {"a": "1"})
    assert list(tmp_path.iterdir()) == []

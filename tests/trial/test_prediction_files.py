"""A prediction's files come whole into the user's folder, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from perfkit.errors import NotWrittenError
from perfkit.trial.prediction_files import write_prediction


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_come_with_their_folders_and_replace_older_ones(tmp_path: Path) -> None:
    (tmp_path / "out" / "sample-0").mkdir(parents=True)
    (tmp_path / "out" / "sample-0" / "model.cif").write_text("old")

    def write(folder: Path) -> list[Path]:
        (folder / "sample-0").mkdir()
        files = [folder / "sample-0" / "model.cif", folder / "scores.csv"]
        for path in files:
            path.write_text("new")
        return files

    written = write_prediction(write, tmp_path / "out")
    assert written == [tmp_path / "out" / "sample-0" / "model.cif", tmp_path / "out" / "scores.csv"]
    assert [path.read_text() for path in written] == ["new", "new"]
    assert _names(tmp_path) == ["out/sample-0/model.cif", "out/scores.csv"]


def test_a_full_disk_leaves_what_was_there_and_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.cif").write_text("old")

    def write(folder: Path) -> list[Path]:
        (folder / "model.cif").write_text("half of a ")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(NotWrittenError) as refused:
        write_prediction(write, tmp_path)
    expected = f"the prediction cannot be written to {tmp_path} (No space left on device)"
    assert str(refused.value) == expected
    assert _names(tmp_path) == ["model.cif"]
    assert (tmp_path / "model.cif").read_text() == "old"


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(NotWrittenError, match=r"\(Not a directory\)"):
        write_prediction(lambda folder: [], tmp_path / "out")

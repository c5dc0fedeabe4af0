"""An output folder holds all files of one prediction, and no file of another one."""

from __future__ import annotations

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perfkit.errors import NotWrittenError, UserError
from perfkit.models.workload import Workload
from perfkit.trial.worker.output_folder import (
    MANIFEST,
    ensure_own_folder,
    manifest_next_to,
    publish,
    write_prediction,
)


def _workload(digest: str) -> Workload:
    return Workload("af3", "again", 6, {}, {"steps": 4}, digest)


def _published(folder: Path, digest: str, *names: str) -> list[Path]:
    """Publish files of these names that hold the digest."""
    staged = folder / "trials" / "one" / "prediction"
    for name in names:
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_text(digest)
    return publish([staged / name for name in names], staged, folder, _workload(digest))


def _files(folder: Path) -> set[str]:
    """The files in the folder, without those of trials and the manifest."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith("trials/")} - {MANIFEST}


def test_the_next_run_of_an_input_replaces_all_files_of_its_last_run(tmp_path: Path) -> None:
    _published(tmp_path, "a", "seed-1/again.cif", "seed-2/again.cif", "scores.csv")
    ensure_own_folder(tmp_path, _workload("a"))
    placed = _published(tmp_path, "a", "seed-1/again.cif", "scores.csv")
    assert placed == [tmp_path / "seed-1/again.cif", tmp_path / "scores.csv"]
    assert _files(tmp_path) == {"seed-1/again.cif", "scores.csv"}
    assert not (tmp_path / "seed-2").exists()
    assert not (tmp_path / "trials/one/prediction").exists()


def test_another_input_is_refused_by_name(tmp_path: Path) -> None:
    _published(tmp_path, "a", "seed-1/again.cif")
    with pytest.raises(UserError, match=r"holds the prediction of another input .* \('again'\)"):
        ensure_own_folder(tmp_path, _workload("b"))
    (tmp_path / "seed-1/again.cif").unlink()
    ensure_own_folder(tmp_path, _workload("b"))


def test_the_input_that_was_published_first_keeps_the_folder(tmp_path: Path) -> None:
    _published(tmp_path, "a", "seed-1/again.cif")
    (kept,) = _published(tmp_path, "b", "seed-1/again.cif")
    assert kept == tmp_path / "trials/one/prediction/seed-1/again.cif"
    assert (tmp_path / "seed-1/again.cif").read_text() == "a"
    assert kept.read_text() == "b"


def test_files_of_the_user_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "forecast.nc").write_text("the input itself")
    (kept,) = _published(tmp_path, "a", "forecast.nc")
    assert (tmp_path / "forecast.nc").read_text() == "the input itself"
    assert kept.read_text() == "a"


def test_a_file_of_the_user_with_the_name_of_a_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "seed-1").write_text("notes")
    (kept,) = _published(tmp_path, "a", "seed-1/again.cif")
    assert (tmp_path / "seed-1").read_text() == "notes"
    assert kept == tmp_path / "trials/one/prediction/seed-1/again.cif"
    assert kept.read_text() == "a"


def test_files_do_not_follow_a_link_out_of_the_folder(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "seed-1").symlink_to(elsewhere)
    (kept,) = _published(out, "a", "seed-1/again.cif")
    assert list(elsewhere.iterdir()) == []
    assert kept.read_text() == "a"


def test_a_manifest_that_names_files_elsewhere_deletes_none_of_them(tmp_path: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    precious.write_text("kept")
    out.mkdir()
    manifest = {"name": "again", "input_digest": "a", "files": ["../precious"]}
    (out / MANIFEST).write_text(json.dumps(manifest))
    _published(out, "a", "seed-1/again.cif")
    assert precious.read_text() == "kept"
    assert _files(out) == {"seed-1/again.cif"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}'])
def test_an_unreadable_manifest_is_a_user_error(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(UserError, match="is not a list of a prediction's files"):
        ensure_own_folder(tmp_path, _workload("a"))


def test_a_file_outside_of_the_staging_folder_is_an_error_of_the_writer(tmp_path: Path) -> None:
    staged = tmp_path / "trials/one/prediction"
    staged.mkdir(parents=True)
    (tmp_path / "escape").touch()
    with pytest.raises(RuntimeError, match="written outside"):
        publish([staged / "../../../escape"], staged, tmp_path / "out", _workload("a"))


def _disk_is_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_writer_that_fills_the_disk_leaves_the_files_of_the_last_run(tmp_path: Path) -> None:
    _published(tmp_path, "a", "seed-1/again.cif", "scores.csv")

    def write(folder: Path) -> list[Path]:
        (folder / "scores.csv").write_text("half of a ")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    staged = tmp_path / "trials/two/prediction"
    with pytest.raises(NotWrittenError) as refused:
        write_prediction(write, staged, tmp_path, _workload("a"))
    expected = f"the prediction cannot be written to {tmp_path} (No space left on device)"
    assert str(refused.value) == expected
    assert _files(tmp_path) == {"seed-1/again.cif", "scores.csv"}
    assert (tmp_path / "scores.csv").read_text() == "a"
    assert not staged.exists()


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (shutil, "move"), (Path, "replace")])
def test_files_that_cannot_be_moved_leave_those_of_the_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    _published(tmp_path, "a", "seed-1/again.cif", "scores.csv")
    # The operating system refuses to flush a file, to move one, or to write the manifest.
    monkeypatch.setattr(owner, name, _disk_is_full)
    with pytest.raises((OSError, NotWrittenError), match="No space left on device"):
        _published(tmp_path, "a", "seed-1/again.cif", "seed-2/again.cif", "scores.csv")
    assert _files(tmp_path) == {"seed-1/again.cif", "scores.csv"}
    monkeypatch.undo()
    _published(tmp_path, "a", "seed-2/again.cif")
    assert _files(tmp_path) == {"seed-2/again.cif"}
    assert (tmp_path / "seed-2/again.cif").read_text() == "a"


def test_the_error_names_the_folder_of_files_that_could_not_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(folder: Path) -> list[Path]:
        (folder / "scores.csv").write_text("new")
        return [folder / "scores.csv"]

    monkeypatch.setattr(shutil, "move", _disk_is_full)
    staged = tmp_path / "trials/one/prediction"
    with pytest.raises(NotWrittenError) as refused:
        write_prediction(write, staged, tmp_path, _workload("a"))
    assert str(refused.value) == (
        f"the prediction cannot be written to {tmp_path} (No space left on device); "
        f"files that were not moved there are in {staged}"
    )
    assert (staged / "scores.csv").read_text() == "new"


def _alone(staged: Path, folder: Path, digest: str) -> list[Path]:
    """Publish a file to a folder that holds one prediction alone."""
    staged.mkdir(parents=True)
    (staged / "again.cif").write_text(digest)
    manifest = manifest_next_to(folder)
    return publish([staged / "again.cif"], staged, folder, _workload(digest), manifest)


def test_predictions_that_end_at_the_same_time_share_no_folder(tmp_path: Path) -> None:
    """Each was given the same folder when it began, which was empty then."""
    folder = tmp_path / "out" / "again"
    with ThreadPoolExecutor(8) as pool:
        ends = [
            pool.submit(_alone, tmp_path / f"trials/{index}/prediction", folder, str(index % 4))
            for index in range(40)
        ]
        placed = [file for end in ends for file in end.result()]
    assert folder / "again.cif" in placed
    assert len(set(placed)) == 40
    assert sorted(file.read_text() for file in placed) == sorted("0123" * 10)
    for file in placed:
        listed = json.loads(manifest_next_to(file.parent).read_text())
        assert listed["input_digest"] == file.read_text()
    assert not list(tmp_path.glob("trials/*/prediction"))


def _separate_file_systems(monkeypatch: pytest.MonkeyPatch, fault: int | None = None) -> None:
    """Let each folder be a file system, in which a folder cannot be renamed if there is a fault."""
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        number = errno.EXDEV if self.parent != target.parent else fault
        if number is not None and self.is_dir():
            raise OSError(number, os.strerror(number))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)


def test_a_prediction_that_cannot_be_moved_leaves_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _separate_file_systems(monkeypatch, errno.EACCES)
    folder, staged = tmp_path / "out" / "again", tmp_path / "trials/one/prediction"
    with pytest.raises(PermissionError):
        _alone(staged, folder, "a")
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]
    assert (staged / "again.cif").read_text() == "a"


def test_a_prediction_goes_whole_to_a_folder_on_another_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _separate_file_systems(monkeypatch)
    folder = tmp_path / "out" / "again"
    placed = _alone(tmp_path / "trials/one/prediction", folder, "a")
    assert placed == [folder / "again.cif"]
    names = {path.name for path in folder.parent.iterdir()}
    assert names == {"again", manifest_next_to(folder).name}
    assert not (tmp_path / "trials/one/prediction").exists()

"""A page is written whole or not at all, and a failure is reported in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfkit.cli.main import main
from perfkit.errors import UserError
from perfkit.records.store import Store
from perfkit.report.writing import write_report
from tests.support.limits import files_of_at_most
from tests.support.records_factory import make_record


def test_a_report_is_written_whole_over_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, "näw")
    assert path.read_text(encoding="utf-8") == "näw"
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", "new")
    (tmp_path / "other").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_full_disk_leaves_no_partial_page(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with files_of_at_most(100), pytest.raises(UserError, match=r"cannot be written .*too large"):
        write_report(path, "x" * 5000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file/report.html", "Not a directory"),
        ("folder", "Is a directory"),
        ("a\0b", "null byte"),
        ("x" * 300, "too long"),
    ],
)
def test_a_page_that_cannot_be_written_is_a_user_error_and_leaves_no_file(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"cannot be written .*{reason}"):
        write_report(tmp_path / name, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_device_is_written_to_and_not_replaced() -> None:
    with pytest.raises(UserError, match="No space left on device"):
        write_report(Path("/dev/full"), "new")
    write_report(Path("/dev/null"), "new")
    assert Path("/dev/null").is_char_device()


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "page")
    write_report(tmp_path / "link", "new")
    assert (tmp_path / "page").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_text_that_is_not_valid_unicode_is_replaced(tmp_path: Path) -> None:
    write_report(tmp_path / "page", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "page").read_text() == "caf?"


def test_the_command_reports_an_unwritable_page_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Store(tmp_path).append(make_record())
    assert main(["report", str(tmp_path), "--html", "/proc/report.html"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("perfkit: the report /proc/report.html cannot be written (")
    assert printed.err.count("\n") == 1
    assert "page:" not in printed.out

"""Files are written atomically, and digests are stable, since old records contain them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.files import ensure_room, reason_of, replacing, short_digest, write_whole
from tests.support.limits import files_of_at_most


def test_a_digest_is_the_beginning_of_the_sha256_of_a_text() -> None:
    # printf abc | sha256sum
    assert short_digest("abc") == "ba7816bf8f01"
    assert short_digest("abc", 16) == "ba7816bf8f01cfea"


def test_a_digest_of_data_is_that_of_its_sorted_json() -> None:
    # printf '["tune", 3, {"a": 1, "b": null}]' | sha256sum
    assert short_digest(["tune", 3, {"b": None, "a": 1}]) == "b4f374f05d1c"


def test_a_digest_distinguishes_names_that_are_not_valid_unicode() -> None:
    assert short_digest("\udcff") != short_digest("\udcfe")


def test_a_file_is_replaced_and_no_scratch_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "page.html"
    write_whole(path, "old", "page")
    write_whole(path, "näw \udcff", "page")
    assert path.read_text(encoding="utf-8") == "näw \\udcff"
    assert list(path.parent.iterdir()) == [path]


def test_the_longest_valid_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_whole(path, b"\0\1", "file")
    assert path.read_bytes() == b"\0\1"


def test_a_new_file_respects_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "page", "text", "page")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "page").stat().st_mode) == 0o640


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "page")
    write_whole(tmp_path / "link", "text", "page")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page").read_text() == "text"


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_whole(Path("/dev/null"), "text", "page")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pathlib import Path\nfrom perfkit.files import write_whole\n"
            "write_whole(Path('/dev/stdout'), 'text', 'page')",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "text"


def test_a_failed_write_is_one_sentence_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "old", "report")
    with files_of_at_most(100), pytest.raises(UserError) as refused:
        write_whole(path, "new" * 1000, "report")
    assert str(refused.value) == f"the report {path} cannot be written (File too large)"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_whole(path, "old", "table")

    def fail() -> None:
        with replacing(path, "table") as stream:
            stream.write(b"half")
            raise ValueError("no more rows")

    with pytest.raises(ValueError, match="no more rows"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lack_of_space_is_detected_before_anything_is_written(tmp_path: Path) -> None:
    ensure_room(tmp_path, 1)
    with pytest.raises(OSError, match="No space left on device"):
        ensure_room(tmp_path, 1 << 62)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        # As raised by h5py.
        (
            OSError("Can't close file (file write failed: time = Wed\n, errno = 28, error = '')"),
            "No space left on device",
        ),
        (OSError("two\nlines"), "two lines"),
    ],
)
def test_the_reason_of_an_error_is_one_line(error: OSError, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize("kind", ["a folder", "below a file"])
def test_a_path_that_cannot_be_a_file_is_a_user_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    path = {"a folder": tmp_path / "taken", "below a file": tmp_path / "file" / "page"}[kind]
    with pytest.raises(UserError, match=r"the page .* cannot be written \(\w"):
        write_whole(path, "text", "page")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "taken"]

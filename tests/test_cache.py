"""Cache entries: any damage is seen, whatever they depend on makes another, two may build one."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from perfkit import cache
from perfkit.cache import (
    Entry,
    cached_file,
    cached_value,
    load_value,
    store_value,
)
from perfkit.errors import NotWrittenError
from perfkit.files import Plain

ENTRY = Entry("numbers", "list of numbers", {"library": "1.0", "cpus": (0, 1)})
VALUE: Plain = {"a": [1, 2.5, None], "b": "text"}
PAYLOAD = bytes(range(64))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path))


class Builder:
    """Builds the value or the file, and counts how often."""

    def __init__(self) -> None:
        self.built = 0

    def value(self) -> Plain:
        self.built += 1
        return VALUE

    def file(self, stream: BinaryIO) -> Plain:
        self.built += 1
        stream.write(PAYLOAD)
        return VALUE


def _value(builder: Builder) -> Plain:
    return cached_value(ENTRY, builder.value, lambda value: isinstance(value, dict))


def _file(builder: Builder) -> Path:
    path, about = cached_file(ENTRY, ".bin", builder.file)
    assert about == VALUE
    return path


def test_a_value_is_built_once() -> None:
    builder = Builder()
    assert [_value(builder), _value(builder)] == [VALUE, VALUE]
    assert builder.built == 1


def test_a_flipped_bit_in_any_byte_of_a_kept_value_is_seen() -> None:
    store_value(ENTRY, VALUE)
    whole = ENTRY.path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        ENTRY.path.write_bytes(changed)
        assert load_value(ENTRY) is None
    ENTRY.path.write_bytes(whole)
    assert load_value(ENTRY) == VALUE


def test_every_flipped_byte_of_a_kept_file_is_seen() -> None:
    builder = Builder()
    path = _file(builder)
    assert path == _file(builder)
    assert builder.built == 1
    for position in range(len(PAYLOAD)):
        changed = bytearray(PAYLOAD)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        assert _file(builder).read_bytes() == PAYLOAD
    assert builder.built == 1 + len(PAYLOAD)


def _damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
        (path / "file").touch()
    elif how == "a link to nowhere":
        path.symlink_to(path.with_name("nothing"))
    elif how == "a circle of links":
        path.symlink_to(path)
    elif how != "gone":
        path.write_bytes({"empty": b"", "cut": whole[:-1], "other": b'{"value": 1}'}[how])


HOWS = ["empty", "cut", "other", "a folder", "a link to nowhere", "a circle of links"]


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_value_is_built_again_and_one_line_said(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    builder = Builder()
    _value(builder)
    _damage(ENTRY.path, how)
    assert [_value(builder), _value(builder)] == [VALUE, VALUE]
    assert builder.built == 2
    (said,) = caplog.messages
    assert str(ENTRY.path) in said
    assert said.endswith("the list of numbers is made again")
    assert "\n" not in said


@pytest.mark.parametrize("how", [*HOWS, "gone"])
@pytest.mark.parametrize("which", ["file", "description"])
def test_a_damaged_file_is_built_again(
    how: str, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    builder = Builder()
    path = _file(builder)
    _damage(path if which == "file" else ENTRY.path, how)
    assert _file(builder).read_bytes() == PAYLOAD
    assert _file(builder) == path
    assert builder.built == 2
    # That there is no description is no damage.
    assert len(caplog.messages) == (0 if (which, how) == ("description", "gone") else 1)


def test_a_value_that_another_user_protects_is_built_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    builder = Builder()
    _value(builder)
    with monkeypatch.context() as protected:
        protected.setattr(Path, "read_bytes", refuse)
        assert _value(builder) == VALUE
    assert builder.built == 2
    assert "is unreadable (Permission denied)" in caplog.text


def test_a_value_of_another_shape_is_built_again() -> None:
    store_value(ENTRY, ["of an older perfkit"])
    assert _value(Builder()) == VALUE


def test_a_file_under_the_name_of_another_entry_is_not_taken_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = Entry("numbers", "list of numbers", {"library": "2.0", "cpus": (0, 1)})
    store_value(other, {"a": "of library 2.0"})
    other.path.rename(ENTRY.path)
    assert _value(Builder()) == VALUE
    assert "that of another entry" in caplog.text


@pytest.mark.parametrize("changed", [{"library": "1.1"}, {"cpus": (0, 2)}, {"new": None}])
def test_what_an_entry_depends_on_makes_it_another(changed: dict[str, Plain]) -> None:
    builder = Builder()
    _file(builder)
    other = Entry("numbers", "list of numbers", {**ENTRY.depends_on, **changed})
    cached_file(other, ".bin", builder.file)
    assert builder.built == 2
    # Both stay: two packages may share one cache.
    _file(builder)
    cached_file(other, ".bin", builder.file)
    assert builder.built == 2


def test_a_file_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail(stream: BinaryIO) -> Plain:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(NotWrittenError) as refused:
        cached_file(ENTRY, ".bin", fail)
    assert str(refused.value) == (
        f"the list of numbers cannot be kept in {tmp_path}/numbers (No space left on device); "
        "set PERFKIT_CACHE to a folder that has room and can be written"
    )
    assert list((tmp_path / "numbers").iterdir()) == []


def test_leftovers_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    folder = ENTRY.path.parent
    old, new = folder / ".perfkit-1-00000000.part", folder / ".perfkit-2-00000000.part"
    for path in (old, new):
        path.touch()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    _file(Builder())
    assert (old.exists(), new.exists()) == (False, True)


_BUILD = """
import logging, sys, time
from pathlib import Path
from perfkit.cache import Entry, cached_file
entry = Entry("numbers", "numbers", {"of": "all"})
def write(stream):
    # Each process has halves of its own: a file mixed of two would have two letters.
    letter = sys.argv[1].encode()
    stream.write(letter * 300_000)
    stream.flush()
    time.sleep(0.02)
    stream.write(letter * 300_000)
    return sys.argv[1]
begin = float(sys.argv[2])
time.sleep(max(0.0, begin - time.time()))
for _ in range(20):
    path, letter = cached_file(entry, ".bin", write)
    content = path.read_bytes()
    assert content == letter.encode() * 600_000, (letter, len(content), set(content))
    entry.path.unlink(missing_ok=True)
path, letter = cached_file(entry, ".bin", write)
"""


def test_processes_that_build_one_entry_at_once_all_get_a_whole_one() -> None:
    begin = str(time.time() + 1.0)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _BUILD, letter, begin], stderr=subprocess.PIPE, text=True
        )
        for letter in "abc"
    ]
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], errors
    assert "damaged" not in "".join(errors)
    path, letter = cached_file(Entry("numbers", "numbers", {"of": "all"}), ".bin", lambda _: "new")
    assert path.read_bytes() == str(letter).encode() * 600_000
    assert letter in ("a", "b", "c")


def test_the_line_is_said_without_any_setting_of_logging(tmp_path: Path) -> None:
    code = (
        "from perfkit.cache import Entry, store_value, load_value\n"
        "entry = Entry('numbers', 'list of numbers', {})\n"
        "store_value(entry, 1)\n"
        "entry.path.write_bytes(b'')\n"
        "load_value(entry)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.startswith(f"perfkit: the cache file {tmp_path}")
    assert ran.stderr.endswith("is empty; the list of numbers is made again\n")
    assert cache.LOGGER.level == logging.NOTSET

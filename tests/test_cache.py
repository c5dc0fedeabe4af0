"""Cache entries: damage is detected, dependencies are part of the key, and writers may compete."""

from __future__ import annotations

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
from perfkit.files import JsonData

ENTRY = Entry("numbers", "list of numbers", {"library": "1.0", "cpus": (0, 1)})
VALUE: JsonData = {"a": [1, 2.5, None], "b": "text"}
PAYLOAD = bytes(range(64))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path))


class Builder:
    """Builds the value or the file, and counts how often it was called."""

    def __init__(self) -> None:
        self.built = 0

    def value(self) -> JsonData:
        self.built += 1
        return VALUE

    def file(self, stream: BinaryIO) -> JsonData:
        self.built += 1
        stream.write(PAYLOAD)
        return VALUE


def _value(builder: Builder) -> JsonData:
    return cached_value(ENTRY, builder.value, lambda value: isinstance(value, dict))


def _file(builder: Builder) -> Path:
    path, value = cached_file(ENTRY, ".bin", builder.file)
    assert value == VALUE
    return path


def test_a_value_is_built_once() -> None:
    builder = Builder()
    assert [_value(builder), _value(builder)] == [VALUE, VALUE]
    assert builder.built == 1


def test_a_flipped_bit_in_any_byte_of_a_stored_value_is_detected() -> None:
    store_value(ENTRY, VALUE)
    whole = ENTRY.path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        ENTRY.path.write_bytes(changed)
        assert load_value(ENTRY) is None
    ENTRY.path.write_bytes(whole)
    assert load_value(ENTRY) == VALUE


def test_a_flipped_bit_in_any_byte_of_a_stored_file_is_detected() -> None:
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
    elif how == "a broken link":
        path.symlink_to(path.with_name("nothing"))
    elif how == "a circle of links":
        path.symlink_to(path)
    elif how != "gone":
        path.write_bytes({"empty": b"", "cut": whole[:-1], "other": b'{"value": 1}'}[how])


HOWS = ["empty", "cut", "other", "a folder", "a broken link", "a circle of links"]


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_value_is_rebuilt_with_one_warning(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    builder = Builder()
    _value(builder)
    _damage(ENTRY.path, how)
    assert [_value(builder), _value(builder)] == [VALUE, VALUE]
    assert builder.built == 2
    (warning,) = caplog.messages
    assert str(ENTRY.path) in warning
    assert warning.endswith("the list of numbers is rebuilt")
    assert "\n" not in warning


@pytest.mark.parametrize("how", [*HOWS, "gone"])
@pytest.mark.parametrize("which", ["file", "description"])
def test_a_damaged_file_is_rebuilt(how: str, which: str, caplog: pytest.LogCaptureFixture) -> None:
    builder = Builder()
    path = _file(builder)
    _damage(path if which == "file" else ENTRY.path, how)
    assert _file(builder).read_bytes() == PAYLOAD
    assert _file(builder) == path
    assert builder.built == 2
    # A missing entry is not damage.
    assert len(caplog.messages) == (0 if (which, how) == ("description", "gone") else 1)


def test_a_value_that_cannot_be_read_is_rebuilt(caplog: pytest.LogCaptureFixture) -> None:
    _value(Builder())
    _damage(ENTRY.path, "a circle of links")
    assert _value(Builder()) == VALUE
    assert "is unreadable (Too many levels of symbolic links)" in caplog.text


def test_an_unusable_value_is_rebuilt() -> None:
    store_value(ENTRY, ["of an older perfkit"])
    assert _value(Builder()) == VALUE


def test_a_file_renamed_to_another_entry_is_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = Entry("numbers", "list of numbers", {"library": "2.0", "cpus": (0, 1)})
    store_value(other, {"a": "of library 2.0"})
    other.path.rename(ENTRY.path)
    assert _value(Builder()) == VALUE
    assert "that of another entry" in caplog.text


@pytest.mark.parametrize("changed", [{"library": "1.1"}, {"cpus": (0, 2)}, {"new": None}])
def test_other_dependencies_make_another_entry(changed: dict[str, JsonData]) -> None:
    builder = Builder()
    _file(builder)
    other = Entry("numbers", "list of numbers", {**ENTRY.depends_on, **changed})
    cached_file(other, ".bin", builder.file)
    assert builder.built == 2
    # Both entries remain, since two installations may share one cache.
    _file(builder)
    cached_file(other, ".bin", builder.file)
    assert builder.built == 2


def test_an_error_while_writing_leaves_no_file(tmp_path: Path) -> None:
    def fail(stream: BinaryIO) -> JsonData:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(NotWrittenError) as refused:
        cached_file(ENTRY, ".bin", fail)
    assert str(refused.value) == (
        f"the list of numbers cannot be stored in {tmp_path}/numbers (No space left on device); "
        "set PERFKIT_CACHE to a writable folder with enough space"
    )
    assert list((tmp_path / "numbers").iterdir()) == []


def test_scratch_files_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    folder = ENTRY.path.parent
    old, new = folder / ".perfkit-1-00000000.part", folder / ".perfkit-2-00000000.part"
    for path in (old, new):
        path.touch()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    _file(Builder())
    assert (old.exists(), new.exists()) == (False, True)


def _entry(number: int) -> Entry:
    return Entry("numbers", "list of numbers", {"number": number})


def test_a_new_file_displaces_the_entry_that_was_not_used_for_the_longest_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "KEPT_BYTES", 2 * len(PAYLOAD))
    builder = Builder()
    first, second = (cached_file(_entry(number), ".bin", builder.file)[0] for number in (1, 2))
    now = time.time()
    for number, days in ((1, 9), (2, 8)):
        os.utime(_entry(number).path, (now - days * 86_400,) * 2)
    cached_file(_entry(1), ".bin", builder.file)
    assert builder.built == 2
    third, _ = cached_file(_entry(3), ".bin", builder.file)

    # The first one is older, but was read a moment ago.
    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    assert not _entry(2).path.exists()
    cached_file(_entry(2), ".bin", builder.file)
    assert builder.built == 4
    assert caplog.messages == []


def test_files_in_use_are_never_displaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT_BYTES", 1)
    files = [cached_file(_entry(number), ".bin", Builder().file)[0] for number in range(3)]
    assert all(path.exists() for path in files)


_BUILD = """
import logging, sys, time
from pathlib import Path
from perfkit.cache import Entry, cached_file
entry = Entry("numbers", "numbers", {"of": "all"})
def write(stream):
    # Each process writes one letter, so a mixture of two files has two letters.
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


def test_processes_that_build_an_entry_at_the_same_time_all_get_a_whole_one() -> None:
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


def test_the_warning_is_shown_without_configuring_logging(tmp_path: Path) -> None:
    code = (
        "from perfkit.cache import Entry, store_value, load_value\n"
        "entry = Entry('numbers', 'list of numbers', {})\n"
        "store_value(entry, 1)\n"
        "entry.path.write_bytes(b'')\n"
        "load_value(entry)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.startswith(f"perfkit: the cache file {tmp_path}")
    assert ran.stderr.endswith("is empty; the list of numbers is rebuilt\n")
    assert cache.LOGGER.level == logging.NOTSET

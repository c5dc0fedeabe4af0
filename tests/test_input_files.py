"""Files that a user gives are read up to a limit, and refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.capacity.laws.calibration import Calibration
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.queue.jobs import read_jobs
from perfkit.capacity.queue.machines import read_inventory
from perfkit.errors import UserError
from perfkit.input_files import read_bytes, read_toml
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.space import read_configurations, read_space
from perfkit.tuning.preset import load_preset

READERS: dict[str, Callable[[Path], object]] = {
    "preset": load_preset,
    "space": lambda path: read_space(Catalogue(), path),
    "configurations": lambda path: read_configurations(Catalogue(), path),
    "machines": read_inventory,
    "calibration": Calibration.load,
    "jobs": read_jobs,
    "fit": ModelFit.load,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("file") / "file"


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_any_bytes_are_read_or_refused_in_one_sentence(
    path: Path, read: Callable[[Path], object]
) -> None:
    @settings(max_examples=40, derandomize=True, deadline=None)
    @given(
        st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
    )
    def check(content: bytes) -> None:
        path.write_bytes(content)
        sentence = "read"
        try:
            read(path)
        except UserError as error:
            sentence = str(error)
        assert sentence
        assert "\n" not in sentence

    check()


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_an_endless_file_is_refused(read: Callable[[Path], object]) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(it is larger than 67\.1 MB\)"):
        read(Path("/dev/zero"))


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused(path: Path) -> None:
    path.write_bytes(b"12345")
    assert read_bytes(path, "file", most_bytes=5) == b"12345"
    with pytest.raises(UserError, match="larger than 4 B"):
        read_bytes(path, "file", most_bytes=4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = " + b"[" * 100_000, "is not TOML: it is nested too deeply"),
        (b"a = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
        (b"a = 1\na = 2", "is not TOML: Cannot overwrite a value"),
        (b"a = 1\0", "is not TOML: "),
        (b"\xff", "is not TOML: 'utf-8' codec"),
    ],
)
def test_what_is_not_toml_is_refused(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_toml(path, "file")


def test_a_byte_order_mark_of_windows_is_skipped(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(path, "file") == {"a": 1}

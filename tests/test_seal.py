"""Sealed files: every changed, missing or added byte is detected."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.seal import (
    DamagedError,
    file_digest,
    opened_sealed,
    read_sealed,
    replacing_sealed,
    sealed,
    unsealed,
)


@given(body=st.binary(max_size=200), data=st.data())
def test_every_changed_byte_of_a_sealed_file_is_detected(body: bytes, data: st.DataObject) -> None:
    whole = sealed(body)
    assert unsealed(whole) == body
    position = data.draw(st.integers(0, len(whole) - 1))
    bits = data.draw(st.integers(1, 255))
    changed = bytearray(whole)
    changed[position] ^= bits
    with pytest.raises(DamagedError):
        unsealed(bytes(changed))


@given(body=st.binary(max_size=200), data=st.data())
def test_every_missing_or_added_byte_of_a_sealed_file_is_detected(
    body: bytes, data: st.DataObject
) -> None:
    whole = sealed(body)
    with pytest.raises(DamagedError):
        unsealed(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DamagedError):
        unsealed(whole + data.draw(st.binary(min_size=1, max_size=3)))


def test_a_streamed_file_equals_one_sealed_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing_sealed(path, "file") as stream:
        stream.write(b"one")
        stream.write(b"two")
    assert path.read_bytes() == sealed(b"onetwo")
    assert read_sealed(path) == b"onetwo"
    with opened_sealed(path) as stream:
        assert stream.read() == b"onetwo"


@pytest.mark.parametrize(
    "data", [b"", b"perfkit", b"PK", sealed(b"body")[:-1], sealed(b"b") + b"c"]
)
def test_a_damaged_file_is_not_opened(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(DamagedError), opened_sealed(path):
        raise AssertionError("opened")
    with pytest.raises(DamagedError):
        read_sealed(path)


def test_a_missing_file_is_damage_only_if_it_is_opened(tmp_path: Path) -> None:
    assert read_sealed(tmp_path / "none") is None
    with pytest.raises(DamagedError, match="No such file"), opened_sealed(tmp_path / "none"):
        raise AssertionError("opened")


def test_the_digest_of_a_file_is_that_of_its_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    # (printf abcd | sha256sum; printf ef | sha256sum) | cut -c-64 | xxd -r -p | sha256sum
    digest = "b5fa4759333bd36a437e2527181d6ca7d002ab5776b503575fe77af5608a7c79"
    assert file_digest(path, block_bytes=4) == digest

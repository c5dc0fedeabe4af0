"""Builds are told apart by what is installed, not by their version alone."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from perfkit.builds import installed_build, source_digest


def _install(folder: Path, record: str) -> None:
    about = folder / "thing-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (about / "RECORD").write_text(record)


def _build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(sys, "path", [str(folder)])
    return installed_build.__wrapped__("thing")


def test_two_builds_of_one_version_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path / "one", "thing.so,sha256=aaaa,10\n")
    _install(tmp_path / "two", "thing.so,sha256=bbbb,10\n")
    found = [_build(tmp_path / name, monkeypatch) for name in ("one", "two")]
    assert all(build is not None and build.startswith("1.0+") for build in found)
    assert found[0] != found[1]


def test_byte_code_and_order_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path / "one", "a.py,sha256=aaaa,1\nb.py,sha256=bbbb,1\n")
    _install(tmp_path / "two", "b.py,sha256=bbbb,1\na.py,sha256=aaaa,1\n__pycache__/a.pyc,,\n")
    one, two = (_build(tmp_path / name, monkeypatch) for name in ("one", "two"))
    assert one == two


def test_what_is_not_installed_has_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _build(tmp_path, monkeypatch) is None


def test_the_installed_version_is_named() -> None:
    build = installed_build("numpy")
    assert build is not None
    assert build.startswith(f"{metadata.version('numpy')}+")


def test_a_changed_source_makes_another_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "__init__.py").write_bytes(b"# \xff is no UTF-8\n")
    (folder / "part.py").write_text("WIDTH = 384\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = source_digest.__wrapped__("thing")
    (folder / "part.py").write_text("WIDTH = 385\n")
    second = source_digest.__wrapped__("thing")
    (folder / "part.py").rename(folder / "other.py")
    third = source_digest.__wrapped__("thing")
    assert len({first, second, third, None}) == 4


def test_a_package_that_is_not_there_has_no_digest() -> None:
    assert source_digest("no_such_package_of_ours") is None

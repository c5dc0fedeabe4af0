"""Builds are identified by their installed files, not by their version alone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from perfkit.builds import installed_build, source_digest


def _install(folder: Path, record: str) -> None:
    about = folder / "thing-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (about / "RECORD").write_text(record)


@pytest.fixture(autouse=True)
def _nothing_cached() -> Iterator[None]:
    for cached in (installed_build, source_digest):
        cached.cache_clear()
    yield
    for cached in (installed_build, source_digest):
        cached.cache_clear()


def _build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The build of ``thing`` in ``folder``, which shadows all other folders."""
    installed_build.cache_clear()
    monkeypatch.syspath_prepend(folder)
    return installed_build("thing")


def test_two_builds_of_one_version_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path / "one", "thing.so,sha256=aaaa,10\n")
    _install(tmp_path / "two", "thing.so,sha256=bbbb,10\n")
    found = [_build(tmp_path / name, monkeypatch) for name in ("one", "two")]
    assert all(build is not None and build.startswith("1.0+") for build in found)
    assert found[0] != found[1]


def test_byte_code_and_order_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path / "one", "a.py,sha256=aaaa,1\nb.py,sha256=bbbb,1\n")
    _install(tmp_path / "two", "b.py,sha256=bbbb,1\na.py,sha256=aaaa,1\n__pycache__/a.pyc,,\n")
    one, two = (_build(tmp_path / name, monkeypatch) for name in ("one", "two"))
    assert one == two


def test_a_distribution_that_is_not_installed_has_no_build() -> None:
    assert installed_build("thing") is None


def test_a_build_begins_with_the_installed_version() -> None:
    build = installed_build("numpy")
    assert build is not None
    assert build.startswith(f"{metadata.version('numpy')}+")


def test_a_changed_source_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "__init__.py").write_bytes(b"# \xff is no UTF-8\n")
    (folder / "part.py").write_text("WIDTH = 384\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = source_digest("thing")
    source_digest.cache_clear()
    (folder / "part.py").write_text("WIDTH = 385\n")
    second = source_digest("thing")
    source_digest.cache_clear()
    (folder / "part.py").rename(folder / "other.py")
    third = source_digest("thing")
    assert len({first, second, third, None}) == 4


def test_a_missing_package_has_no_digest() -> None:
    assert source_digest("no_such_package_of_ours") is None

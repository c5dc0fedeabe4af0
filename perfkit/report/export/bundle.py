"""A bundle: a page with everything that it links to and was made from, for another machine."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from perfkit.errors import UserError
from perfkit.files import reason_of
from perfkit.records.schema import Record
from perfkit.report.export.outputs import (
    ZIP,
    check_archive,
    check_folder,
    written_archive,
    written_folder,
)
from perfkit.units import count_text

DESCRIPTION = "bundle"

FULL = (errno.EDQUOT, errno.ENOSPC)
"""Errors of the disk that the bundle is written to."""

RECORDS_NAME = "records-bundle.jsonl"
"""File of the records in a bundle, which :func:`perfkit.records.store.read_folder` reads."""


@dataclass(frozen=True)
class BundleContent:
    """What a bundle consists of.

    Attributes
    ----------
    page_name, page
        File name and HTML of the page; its links are relative to it.
    records
        Records that the page shows; their artifacts are part of the bundle.
    folder
        Folder that holds the artifacts and ``files``.
    files
        Further files, e.g. of the preset, relative to ``folder``.
    """

    page_name: str
    page: str
    records: tuple[Record, ...]
    folder: Path
    files: tuple[str, ...] = ()


def check_bundle(path: Path) -> None:
    """Check that a bundle can be written to a path.

    Parameters
    ----------
    path
        A folder, or a file whose name ends in ``.zip``.

    Raises
    ------
    UserError
        The path has another ending, its folder does not exist, or something else of this name does.
    """
    if path.suffix.lower() == ZIP:
        check_archive(path, DESCRIPTION)
        return
    if path.suffix and not path.is_dir():
        raise UserError(
            f"a bundle is a folder or a file that ends in {ZIP}, and {path} ends in {path.suffix}"
        )
    if not path.resolve().parent.is_dir():
        raise UserError(
            f"the {DESCRIPTION} {path} cannot be written: there is no folder {path.parent}"
        )
    check_folder(path, DESCRIPTION)


def write_bundle(path: Path, content: BundleContent) -> tuple[str, ...]:
    """Write a bundle, as a whole or not at all.

    Parameters
    ----------
    path
        A folder, or a file whose name ends in ``.zip``.
    content
        What it consists of.

    Returns
    -------
    tuple of str
        One sentence on the artifacts that are not part of it, if any.

    Raises
    ------
    UserError
        See :func:`check_bundle`, or it cannot be written.
    """
    check_bundle(path)
    written = written_archive if path.suffix.lower() == ZIP else written_folder
    with written(path, DESCRIPTION) as files:
        artifacts = dict.fromkeys(
            name for record in content.records for name in record.artifacts.values()
        )
        missing = _copy(content.folder, files, [*content.files, *artifacts])
        # File names on the page may hold bytes that are not valid text.
        html = content.page.encode("utf-8", errors="replace")
        (files / content.page_name).write_bytes(html)
        if content.records:
            lines = "".join(record.model_dump_json() + "\n" for record in content.records)
            (files / RECORDS_NAME).write_text(lines, encoding="utf-8")
    return missing


def _copy(source: Path, target: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Copy files and folders of a folder under their relative paths.

    A path of a record may be damaged or made by hand. What lies outside of the folder is never
    copied, not even through a link.
    """
    root = source.resolve()
    missing: list[str] = []
    for name in names:
        path = source / name
        try:
            if not _is_relative(name) or not path.resolve().is_relative_to(root):
                missing.append(f"{name} (outside of the folder)")
            elif path.is_dir():
                shutil.copytree(path, target / name, ignore=_links, dirs_exist_ok=True)
            elif path.is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / name)
            else:
                missing.append(name)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            missing.append(f"{name} ({reason})")
    return _sentence(missing)


def _links(folder: str, names: list[str]) -> list[str]:
    """The symbolic links in a folder, which may lead out of it."""
    return [name for name in names if Path(folder, name).is_symlink()]


def _is_relative(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _sentence(missing: Sequence[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (
        f"{count_text(len(missing), 'file')} that the page names could not be added to the bundle: "
        f"{missing[0]}{more}",
    )

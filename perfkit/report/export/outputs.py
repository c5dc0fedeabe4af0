"""Folders and archives that perfkit writes as a whole, and replaces only if it wrote them."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationError

from perfkit.errors import NotWrittenError, UserError
from perfkit.files import reason_of, remove, replacing, scratch_path
from perfkit.records.base import FrozenModel
from perfkit.version import __version__

MANIFEST = "perfkit-files.json"
"""File that lists what perfkit wrote to a folder or an archive."""

ZIP = ".zip"


def _is_below(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} is no path in the folder")
    return name


class Manifest(FrozenModel):
    """Contents of :data:`MANIFEST`.

    Attributes
    ----------
    format, version
        Identify the file.
    perfkit
        Version of perfkit that wrote the files.
    files
        Paths of the files, relative to the folder, with forward slashes.
    """

    format: Literal["perfkit-files"] = "perfkit-files"
    version: Literal[1] = 1
    perfkit: str
    files: tuple[Annotated[str, AfterValidator(_is_below)], ...]


def check_folder(path: Path, description: str) -> None:
    """Check that a folder can be written without a loss: it is new, empty, or perfkit's own.

    Parameters
    ----------
    path
        Folder to write.
    description
        What it will hold, for the message, e.g. *bundle*.

    Raises
    ------
    UserError
        The path is a file, or a folder with files that perfkit did not write there.
    """
    _earlier_files(path, description)


def check_archive(path: Path, description: str) -> None:
    """Check that an archive can be written without a loss: it is new, or perfkit's own.

    Raises
    ------
    UserError
        Its folder does not exist, or there is another file or folder of this name.
    """
    if not path.parent.is_dir():
        raise UserError(
            f"the {description} {path} cannot be written: there is no folder {path.parent}"
        )
    if path.exists() and not _is_own_archive(path):
        raise UserError(
            f"{path} exists and is no {description} of perfkit; name another file, or remove it"
        )


@contextlib.contextmanager
def written_folder(path: Path, description: str) -> Iterator[Path]:
    """Write a folder as a whole: its files appear together, when the block ends without an error.

    Files of an earlier call that are not written again are removed. All other files stay.

    Parameters
    ----------
    path
        Folder to write. Missing folders above it are created.
    description
        What it holds, for messages.

    Yields
    ------
    Path
        An empty folder next to ``path``, to be filled.

    Raises
    ------
    UserError
        See :func:`check_folder`; or a file of that name exists that perfkit did not write.
    NotWrittenError
        A file cannot be written. Earlier files are unchanged.
    """
    earlier = _earlier_files(path, description)
    scratch = scratch_path(path)
    try:
        scratch.mkdir(parents=True)
        yield scratch
        names = files_below(scratch)
        foreign = [name for name in names if name not in earlier and (path / name).exists()]
        if foreign:
            raise UserError(
                f"{path / foreign[0]} exists, and perfkit did not write it; name another folder "
                f"for the {description}"
            )
        (scratch / MANIFEST).write_text(manifest_text(names), encoding="utf-8")
        _move(scratch, path, [*names, MANIFEST])
        for name in earlier.difference(names):
            remove(path / name)
    except OSError as error:
        raise NotWrittenError(
            f"the {description} {path} cannot be written ({reason_of(error)})"
        ) from error
    finally:
        remove(scratch)


@contextlib.contextmanager
def written_archive(path: Path, description: str) -> Iterator[Path]:
    """Write a ZIP archive as a whole, like :func:`written_folder`.

    Yields
    ------
    Path
        An empty folder next to ``path``, whose files become those of the archive.
    """
    check_archive(path, description)
    scratch = scratch_path(path)
    try:
        scratch.mkdir()
        yield scratch
        names = files_below(scratch)
        with (
            replacing(path, description) as stream,
            zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name in names:
                archive.write(scratch / name, name)
            archive.writestr(MANIFEST, manifest_text(names))
    except OSError as error:
        raise NotWrittenError(
            f"the {description} {path} cannot be written ({reason_of(error)})"
        ) from error
    finally:
        remove(scratch)


def files_below(folder: Path) -> list[str]:
    """The files below a folder, sorted, as relative paths with forward slashes."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def manifest_text(names: list[str]) -> str:
    """The content of :data:`MANIFEST` for files of these names."""
    manifest = Manifest(perfkit=__version__, files=tuple(names))
    return json.dumps(manifest.model_dump(), indent=1) + "\n"


def _earlier_files(path: Path, description: str) -> set[str]:
    """The files that perfkit wrote to a folder before; empty for a new or empty folder."""
    try:
        if not path.exists():
            return set()
        if not path.is_dir():
            raise UserError(f"the {description} {path} is a file, and a folder is needed")
        if not any(path.iterdir()):
            return set()
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise _not_own(path, description) from error
    except ValidationError as error:
        raise _not_own(path, description) from error
    except OSError as error:
        raise UserError(f"the {description} {path} cannot be read ({reason_of(error)})") from error
    return set(manifest.files)


def _not_own(path: Path, description: str) -> UserError:
    return UserError(
        f"the folder {path} holds files that perfkit did not write; name a new or an empty folder "
        f"for the {description}"
    )


def _is_own_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            Manifest.model_validate_json(archive.read(MANIFEST))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False
    return True


def _move(scratch: Path, path: Path, names: list[str]) -> None:
    """Move files to a folder. A new folder appears with all of its files."""
    if not path.exists():
        scratch.rename(path)
        return
    for name in names:
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).replace(target)

"""The output folder of one prediction; files of other inputs are neither mixed in nor lost.

A prediction is written to the folder of its trial first, and all its files are moved from there
together. A manifest lists them, so that the next prediction of the same input replaces all of them,
whichever files it writes itself. It lies in the output folder, or next to a folder that holds the
files of the prediction alone.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from perfkit.errors import NotWrittenError, UserError
from perfkit.files import reason_of, remove, write_whole
from perfkit.models.workload import Workload

MANIFEST = "perfkit-prediction.json"

TIME_FORMAT = "%Y%m%d_%H%M%S"
"""Format of the time in the name of a folder, as AlphaFold 3's ``run_alphafold.py`` has it."""

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""Errors of a rename to a folder that is not empty, or to a file."""


class Manifest(BaseModel):
    """The files of a prediction in a folder.

    Attributes
    ----------
    name
        Name of the workload.
    input_digest
        Digest of the workload's input.
    files
        Paths relative to the folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    input_digest: str
    files: tuple[str, ...]

    def existing_in(self, folder: Path) -> list[Path]:
        """The files that still exist, without paths that lead out of the folder."""
        root = folder.resolve()
        found = [root / name for name in self.files]
        return [path for path in found if path.is_file() and path.resolve().is_relative_to(root)]


def manifest_next_to(folder: Path) -> Path:
    """File next to a folder that lists the files of the prediction in it."""
    manifest = Path(MANIFEST)
    return folder.with_name(f"{manifest.stem}-{folder.name}{manifest.suffix}")


def unused_folder(folder: Path, now: datetime) -> Path:
    """The folder if it is empty or does not exist, else one with the time in its name.

    Parameters
    ----------
    folder
        Folder that a prediction would go to.
    now
        The time.
    """
    if not _holds_anything(folder):
        return folder
    dated = folder.with_name(f"{folder.name}_{now.strftime(TIME_FORMAT)}")
    numbers = itertools.count(2)
    chosen = dated
    while _holds_anything(chosen):
        chosen = dated.with_name(f"{dated.name}-{next(numbers)}")
    return chosen


def ensure_own_folder(folder: Path, workload: Workload, manifest: Path | None = None) -> None:
    """Refuse a folder that holds the prediction of another input; called before anything runs.

    Parameters
    ----------
    folder
        Output folder.
    workload
        Workload of the prediction.
    manifest
        Manifest of the folder; by default the file :data:`MANIFEST` in it.

    Raises
    ------
    UserError
        The folder holds the prediction of another input, or its manifest cannot be read.
    """
    earlier = _read(manifest or folder / MANIFEST)
    if earlier is None or earlier.input_digest == workload.input_digest:
        return
    if earlier.existing_in(folder):
        raise UserError(
            f"the output folder {folder} holds the prediction of another input or of other weights "
            f"({earlier.name!r}); name another folder with --out, or empty this one"
        )


def write_prediction(
    write: Callable[[Path], Sequence[Path]],
    staged: Path,
    folder: Path,
    workload: Workload,
    manifest: Path | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write the files of a prediction and move them to its output folder; see :func:`publish`.

    Parameters
    ----------
    write
        Writes the files to the folder that it is given, and returns their paths.
    staged
        Folder to write the files to first.
    folder
        Output folder.
    workload
        Workload of the prediction.
    manifest
        Manifest of the folder; by default the file :data:`MANIFEST` in it.
    overwrite
        Whether to replace files that are of no prediction. Files of other predictions are kept.

    Returns
    -------
    list of Path
        Where the files are now, as :func:`publish` returns it.

    Raises
    ------
    NotWrittenError
        The files cannot be written, and incomplete ones are removed; or they cannot be moved, and
        the message names the folder that they are in. Files of the last run are kept unless they
        were replaced before the error.
    """
    left = ""
    try:
        staged.mkdir(parents=True, exist_ok=True)
        try:
            written = write(staged)
        except BaseException:
            remove(staged)
            raise
        left = f"; files that were not moved there are in {staged}"
        return publish(written, staged, folder, workload, manifest, overwrite=overwrite)
    except OSError as error:
        raise NotWrittenError(
            f"the prediction cannot be written to {folder} ({reason_of(error)}){left}"
        ) from error
    except NotWrittenError as error:
        raise NotWrittenError(f"{error}{left}") from error


def publish(
    written: Sequence[Path],
    staged: Path,
    folder: Path,
    workload: Workload,
    manifest: Path | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Move the files of a prediction to its output folder; they replace those of its last run.

    Parameters
    ----------
    written
        Files in ``staged``.
    staged
        Folder that the files were written to.
    folder
        Output folder.
    workload
        Workload of the prediction.
    manifest
        Manifest of the folder; by default the file :data:`MANIFEST` in it. A folder with its
        manifest next to it holds one prediction alone: unless ``overwrite``, all files go to
        another folder (:func:`unused_folder`) if this one is taken by now.
    overwrite
        Whether to replace files that are of no prediction. Files of other predictions are kept.

    Returns
    -------
    list of Path
        Where the files are now: in ``folder`` or the one chosen instead, or still in ``staged`` if
        a file in the output folder that is not from a prediction of this input is in the way.

    Raises
    ------
    RuntimeError
        A file was written outside ``staged``.
    OSError, NotWrittenError
        The files cannot be moved; files of the last run that were not replaced yet are kept.
    """
    root = staged.resolve()
    for path in written:
        if not path.resolve().is_relative_to(root):
            raise RuntimeError(f"{path} was written outside {staged}")
    names = [str(path.resolve().relative_to(root)) for path in written]
    if manifest is not None and not overwrite:
        # Quotas and network file systems may refuse data only when it is flushed.
        for path in written:
            _flush(path)
        chosen = _move_whole(staged, folder)
        _write(manifest_next_to(chosen), workload, names)
        return [chosen / name for name in names]
    listing = manifest or folder / MANIFEST
    earlier = _read(listing)
    own = earlier is None or earlier.input_digest == workload.input_digest
    before = [] if earlier is None else earlier.existing_in(folder)
    home = folder.resolve()
    targets = [home / name for name in names]
    taken = any(
        _is_taken(path, home, overwrite=overwrite) for path in targets if path not in before
    )
    # A link in the folder could lead the files out of it.
    escaping = any(not path.resolve().is_relative_to(home) for path in targets)
    if taken or escaping or (before and not own):
        return list(written)
    for path in written:
        _flush(path)
    folder.mkdir(parents=True, exist_ok=True)
    # The manifest lists old and new files until all are moved: a killed run leaves none unlisted.
    old = [str(path.relative_to(home)) for path in before]
    _write(listing, workload, [*old, *names])
    for path, target in zip(written, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    placed = {path.resolve() for path in targets}
    for path in before:
        if path.resolve() not in placed:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, home)
    _write(listing, workload, names)
    shutil.rmtree(staged)
    return targets


def _move_whole(staged: Path, folder: Path) -> Path:
    """Move a folder to an unused place, which is returned.

    Predictions of several workers may want the same folder at the same time. Only a rename is
    atomic: the system refuses it if the place holds anything.
    """
    home = folder.resolve()
    copy = home.with_name(f".{home.name}-{uuid.uuid4().hex}")
    source = staged
    try:
        while True:
            chosen = unused_folder(folder, datetime.now()).resolve()
            chosen.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.rename(chosen)
            except OSError as error:
                if error.errno == errno.EXDEV and source == staged:
                    source = copy
                    shutil.copytree(staged, copy)
                elif error.errno not in _TAKEN:
                    raise
            else:
                break
    finally:
        # Nothing is left of a copy that could not be made or moved.
        shutil.rmtree(copy, ignore_errors=True)
    if source != staged:
        shutil.rmtree(staged)
    return chosen


def _holds_anything(folder: Path) -> bool:
    """Whether the path is a folder with something in it, or no folder."""
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True
    except OSError as error:
        raise UserError(
            f"the output folder {folder} cannot be read ({error.strerror}); name another folder "
            "with --out"
        ) from error


def _is_taken(path: Path, home: Path, *, overwrite: bool) -> bool:
    """Whether a file cannot be placed here: the path exists, or a folder of it is a file."""
    above = [each for each in path.parents if each != home and each.is_relative_to(home)]
    exists = path.is_dir() if overwrite else path.exists()
    return exists or any(each.exists() and not each.is_dir() for each in above)


def _read(path: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise UserError(
            f"{path} is not a list of a prediction's files; name another folder with --out, or "
            "remove this file"
        ) from error


def _write(path: Path, workload: Workload, files: Sequence[str]) -> None:
    manifest = Manifest(
        name=workload.name,
        input_digest=workload.input_digest,
        files=tuple(dict.fromkeys(files)),
    )
    content = manifest.model_dump_json(indent=1) + "\n"
    write_whole(path, content, "list of a prediction's files")


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent

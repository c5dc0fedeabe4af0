"""A folder for the files of one prediction: those of another input are neither mixed in nor lost.

What a prediction leaves is written into the folder of its trial first, and moved from there as a
whole. A manifest names the files that a prediction has left, so that the next one of the same input
replaces all of them, whatever it leaves itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from perfkit.errors import NotWrittenError, UserError
from perfkit.files import reason_of, remove, write_whole
from perfkit.models.base import Workload

MANIFEST = "perfkit-prediction.json"


class Manifest(BaseModel):
    """What a prediction has left in a folder.

    Attributes
    ----------
    name, input_digest
        Of the workload.
    files
        Relative to the folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    input_digest: str
    files: tuple[str, ...]

    def left_in(self, folder: Path) -> list[Path]:
        """The files that are still there; what leads out of the folder is none of them."""
        root = folder.resolve()
        found = [root / name for name in self.files]
        return [path for path in found if path.is_file() and path.resolve().is_relative_to(root)]


def ensure_own_folder(folder: Path, workload: Workload) -> None:
    """Refuse a folder that holds the prediction of another input, before anything runs.

    Raises
    ------
    UserError
        It does, or its manifest cannot be read.
    """
    earlier = _read(folder)
    if earlier is None or earlier.input_digest == workload.input_digest:
        return
    if earlier.left_in(folder):
        raise UserError(
            f"the output folder {folder} holds the prediction of another input or of other weights "
            f"({earlier.name!r}); name another folder with --out, or empty this one"
        )


def write_prediction(
    write: Callable[[Path], Sequence[Path]], staged: Path, folder: Path, workload: Workload
) -> list[Path]:
    """Write the files of a prediction and move them into its folder; see :func:`publish`.

    Parameters
    ----------
    write
        Writes the files below the folder that it is given, and returns their paths.

    Raises
    ------
    NotWrittenError
        The files cannot be written, and half of them are removed; or they cannot be moved, and
        the message says where they are. What the last run left is kept as far as nothing has
        replaced it.
    """
    left = ""
    try:
        staged.mkdir(parents=True, exist_ok=True)
        try:
            written = write(staged)
        except BaseException:
            remove(staged)
            raise
        left = f"; what was not moved there is in {staged}"
        return publish(written, staged, folder, workload)
    except OSError as error:
        raise NotWrittenError(
            f"the prediction cannot be written to {folder} ({reason_of(error)}){left}"
        ) from error
    except NotWrittenError as error:
        raise NotWrittenError(f"{error}{left}") from error


def publish(written: Sequence[Path], staged: Path, folder: Path, workload: Workload) -> list[Path]:
    """Move the files of a prediction into its folder, in place of those of its last run there.

    Parameters
    ----------
    written
        Files below ``staged``.
    staged
        Where they were written.
    folder
        Where they belong.

    Returns
    -------
    list of Path
        Where they are now: below ``folder``, or still where they were if something that this
        input's predictions have not left is in the way.

    Raises
    ------
    RuntimeError
        A file was written outside ``staged``.
    OSError, NotWrittenError
        The files cannot be written; those of the last run that were not yet replaced are kept.
    """
    root = staged.resolve()
    for path in written:
        if not path.resolve().is_relative_to(root):
            raise RuntimeError(f"{path} was written outside {staged}")
    names = [str(path.resolve().relative_to(root)) for path in written]
    earlier = _read(folder)
    own = earlier is None or earlier.input_digest == workload.input_digest
    before = [] if earlier is None else earlier.left_in(folder)
    home = folder.resolve()
    targets = [home / name for name in names]
    taken = any(_is_taken(path, home) for path in targets if path not in before)
    # A link in the folder could lead the files out of it.
    escaping = any(not path.resolve().is_relative_to(home) for path in targets)
    if taken or escaping or (before and not own):
        return list(written)
    # Quotas and network file systems may refuse only now what they took before.
    for path in written:
        _flush(path)
    folder.mkdir(parents=True, exist_ok=True)
    # Until all are in place the manifest names both, so that a run cut short leaves none unnamed.
    kept = [str(path.relative_to(home)) for path in before]
    _write(folder, workload, [*kept, *names])
    for path, target in zip(written, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    placed = {path.resolve() for path in targets}
    for path in before:
        if path.resolve() not in placed:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, home)
    _write(folder, workload, names)
    shutil.rmtree(staged)
    return targets


def _is_taken(path: Path, home: Path) -> bool:
    """Whether something has the place of the file, or a file that of a folder above it."""
    above = [each for each in path.parents if each != home and each.is_relative_to(home)]
    return path.exists() or any(each.exists() and not each.is_dir() for each in above)


def _read(folder: Path) -> Manifest | None:
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise UserError(
            f"{path} is no list of a prediction's files; name another folder with --out, or remove "
            "this one"
        ) from error


def _write(folder: Path, workload: Workload, files: Sequence[str]) -> None:
    manifest = Manifest(
        name=workload.name,
        input_digest=workload.input_digest,
        files=tuple(dict.fromkeys(files)),
    )
    content = manifest.model_dump_json(indent=1) + "\n"
    write_whole(folder / MANIFEST, content, "list of a prediction's files")


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent

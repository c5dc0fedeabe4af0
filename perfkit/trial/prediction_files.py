"""The files of a prediction: all of them in the user's folder, or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from perfkit.errors import NotWrittenError
from perfkit.files import reason_of, scratch_beside


def write_prediction(write: Callable[[Path], Sequence[Path]], folder: Path) -> list[Path]:
    """Have a prediction written beside its place, and move it there once it is whole.

    A full disk in the middle leaves nothing that could be taken for a prediction.

    Parameters
    ----------
    write
        Writes the files into a folder and returns their paths.
    folder
        Where the files go; created if need be.

    Returns
    -------
    list of Path
        The files, in ``folder``.

    Raises
    ------
    NotWrittenError
        They cannot be written.
    """
    scratch = scratch_beside(folder / "prediction")
    try:
        scratch.mkdir(parents=True)
        written = [path.relative_to(scratch) for path in write(scratch)]
        for name in written:
            # Quotas and network file systems may refuse what was written only now.
            with (scratch / name).open("rb") as stream:
                os.fsync(stream.fileno())
        for name in written:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).replace(folder / name)
    except OSError as error:
        raise NotWrittenError(
            f"the prediction cannot be written to {folder} ({reason_of(error)})"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return [folder / name for name in written]

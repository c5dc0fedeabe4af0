"""Files of a trial's compared quantities, which other trials are compared with."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.seal import DamagedError, opened_sealed, replacing_sealed

if TYPE_CHECKING:
    import numpy as np

LOGGER = logging.getLogger("perfkit.trial.answers")
"""Logger of the warning that a file is damaged."""


def save_answers(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write compared quantities to a file, completely or not at all.

    Parameters
    ----------
    path
        File to write.
    arrays
        Arrays of any shape by name, of which one is held at a time.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    import numpy as np

    # As numpy.savez does, which takes all arrays at once.
    with (
        replacing_sealed(path, "file of compared quantities") as stream,
        zipfile.ZipFile(stream, "w") as archive,
    ):
        for name in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, arrays[name], allow_pickle=False)


@contextmanager
def opened_answers(path: Path) -> Iterator[Mapping[str, np.ndarray[Any, Any]]]:
    """Open the compared quantities that :func:`save_answers` wrote; each is read when asked for.

    Raises
    ------
    DamagedError
        The file is missing, or differs from what was written.
    """
    import numpy as np

    with opened_sealed(path) as stream, np.load(stream, allow_pickle=False) as archive:
        yield archive


def load_answers(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read all compared quantities that :func:`save_answers` wrote.

    Raises
    ------
    DamagedError
        The file is missing, or differs from what was written.
    """
    with opened_answers(path) as archive:
        return dict(archive)


def holds_answers(path: Path) -> bool:
    """Whether a file of compared quantities exists and is undamaged; warns if it is damaged."""
    if not path.exists():
        return False
    try:
        with opened_sealed(path):
            return True
    except DamagedError as error:
        LOGGER.warning("perfkit: the reference %s is %s; it is computed again", path, error)
        return False

"""A trial's compared quantities as a file, which other trials are held against."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.seal import DamagedError, opened_sealed, replacing_sealed

if TYPE_CHECKING:
    import numpy as np

LOGGER = logging.getLogger("perfkit.trial.answers")
"""Says in one line, a warning, that a file is damaged."""


def save_answers(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Leave compared quantities in a file, whole or not at all.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    import numpy as np

    with replacing_sealed(path, "file of compared quantities") as stream:
        # NumPy's keyword is called `file`, so a quantity may not be.
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # names are not keywords


def load_answers(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The compared quantities that :func:`save_answers` left.

    Raises
    ------
    DamagedError
        The file is missing or is not what was written.
    """
    import numpy as np

    with opened_sealed(path) as stream, np.load(stream, allow_pickle=False) as archive:
        return dict(archive)


def holds_answers(path: Path) -> bool:
    """Whether a file of compared quantities is there and whole; says when it is damaged."""
    if not path.exists():
        return False
    try:
        with opened_sealed(path):
            return True
    except DamagedError as error:
        LOGGER.warning("perfkit: the reference %s is %s; it is made again", path, error)
        return False

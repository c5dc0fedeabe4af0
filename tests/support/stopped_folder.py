"""A shared folder that stops answering: access to it waits as long as a file exists.

Laid out by :func:`install`, this module acts in every Python process that has :data:`VARIABLE` in
its environment. No file system is needed that only root can mount, or that hangs for good.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

VARIABLE = "PERFKIT_TEST_SHARED_FOLDER"
"""Variable with the absolute path of the folder."""

SUFFIX = ".stopped"
"""Suffix of the file, next to the folder, while which exists the folder does not answer."""

EVENTS = frozenset(
    ("open", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.scandir")
)
"""Audit events of accesses, see the table in the documentation of Python."""

STEP_S = 0.05


def install(packages: Path, folder: Path) -> dict[str, str]:
    """Let a folder stop for processes, and return their further variables.

    Parameters
    ----------
    packages
        Folder on the ``PYTHONPATH`` of the processes.
    folder
        The folder that stops.
    """
    shutil.copy(__file__, packages / "sitecustomize.py")
    return {VARIABLE: str(folder.resolve())}


def stop(folder: Path) -> None:
    """Let every access to a folder wait."""
    _mark(folder).touch()


def go_on(folder: Path) -> None:
    """Let the folder answer again."""
    _mark(folder).unlink(missing_ok=True)


def _mark(folder: Path) -> Path:
    return folder.with_name(folder.name + SUFFIX)


def _watch(folder: str) -> None:
    mark = Path(folder + SUFFIX)

    def wait(event: str, arguments: tuple[object, ...]) -> None:
        if event not in EVENTS:
            return
        paths = (str(each) + os.sep for each in arguments if isinstance(each, str | os.PathLike))
        if any(path.startswith(folder + os.sep) for path in paths):
            while mark.exists():
                time.sleep(STEP_S)

    sys.addaudithook(wait)


if __name__ == "sitecustomize" and VARIABLE in os.environ:
    _watch(os.environ[VARIABLE])

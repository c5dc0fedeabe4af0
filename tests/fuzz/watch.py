"""Notes what a block of code does outside the folders that it may write to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import perfkit
from perfkit.models.gencast.inputs.hdf5_check import COMMAND
from tests.fuzz.damage import MARK

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_CHANGES = {
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
}
"""Audit event of a change in the file system -> number of its arguments that are paths."""

_PROCESSES = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"})

_OWN_COMMANDS = (
    COMMAND,
    ("git", "-C", str(Path(perfkit.__file__).parent)),
    ("git", "rev-parse", "--verify", "--quiet", "--end-of-options"),
)
"""Beginnings of the commands that perfkit starts whatever a file holds: the check of HDF5 files,
and questions for its own commit and for that of asv results."""

_NEVER = frozenset({"os.system", "pickle.find_class", "marshal.loads", "socket.connect"})
"""Events that no file may cause: a shell, an unpickled object, code, a connection."""


class _Watch:
    """The audit hook. Python cannot remove a hook, so that it is added once and switched off."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] | None = None
        self.commands: tuple[tuple[str, ...], ...] = ()
        self.faults: list[str] = []
        self._added = False

    def add(self) -> None:
        """Add the hook to this process."""
        if not self._added:
            sys.addaudithook(self._event)
            self._added = True

    def _event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._changed(event, path)
        elif event in _CHANGES:
            for path in arguments[: _CHANGES[event]]:
                self._changed(event, path)
        elif event in _PROCESSES:
            if MARK in repr(arguments[:2]) or not self._may_start(event, arguments):
                self.faults.append(f"{event} {arguments[:2]!r}"[:300])
        elif event in _NEVER and not _is_import():
            self.faults.append(f"{event} {arguments!r}"[:300])

    def _may_start(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event != "subprocess.Popen":
            return False
        words = tuple(map(os.fsdecode, arguments[1]))
        return any(words[: len(command)] == command for command in self.commands)

    def _changed(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = str(Path(os.fsdecode(path)).resolve())
        if name == os.devnull or "__pycache__" in name:
            return
        allowed = self.allowed or ()
        if not any(name == folder or name.startswith(f"{folder}/") for folder in allowed):
            self.faults.append(f"{event} {name}"[:300])


def _is_import() -> bool:
    """Whether a module is being imported: Python unmarshals its code."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


_watch = _Watch()


@contextmanager
def watched(
    allowed: Sequence[Path], commands: Sequence[tuple[str, ...]] = ()
) -> Iterator[list[str]]:
    """Watch a block.

    Parameters
    ----------
    allowed
        Folders that the block may write to.
    commands
        Beginnings of commands that it may start, in addition to those of perfkit.

    Yields
    ------
    list of str
        What the block did that it may not do, one sentence each.
    """
    _watch.add()
    _watch.faults = []
    _watch.commands = (*_OWN_COMMANDS, *commands)
    _watch.allowed = tuple(str(folder.resolve()) for folder in allowed)
    try:
        yield _watch.faults
    finally:
        _watch.allowed = None

"""Compiled programs of earlier trials, checked before JAX reads them.

JAX's persistent compilation cache keeps no checksum: a flipped byte is machine code that runs. Each
trial therefore gives JAX a folder of its own, with links to the undamaged programs, and publishes
the programs that JAX adds there. A published file has its SHA-256 in its name.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from perfkit.errors import UserError
from perfkit.files import reason_of, remove, replacing
from perfkit.records.machine import answers_digest
from perfkit.seal import file_digest

PATTERN = "*-cache"
"""Names of JAX's files (``_CACHE_SUFFIX`` in its ``lru_cache.py``)."""

LOGGER = logging.getLogger("perfkit.trial.worker.programs")
"""Logger of the warning that a program is damaged and is compiled again."""


class Programs:
    """The compiled programs that trials share.

    Parameters
    ----------
    shared
        Folder that outlives the trial. It holds one folder of programs for each installation.
    own
        Folder for JAX; no other trial uses it.
    installation
        Digest of CPU and installed packages; by default those of this machine. A program that was
        compiled for another CPU may hold instructions that this CPU lacks.

    Raises
    ------
    UserError
        A folder cannot be created.
    """

    def __init__(self, shared: Path, own: Path, installation: str | None = None) -> None:
        self._shared = shared / f"programs-{installation or answers_digest()}"
        self._own = own
        try:
            self._shared.mkdir(parents=True, exist_ok=True)
            own.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the folder of compiled programs {shared} cannot be used ({reason_of(error)})"
            ) from error

    def offer(self) -> Path:
        """The folder for JAX, with links to all undamaged programs; damaged ones are removed."""
        for path in sorted(self._shared.glob(f"{PATTERN}.*")):
            name, digest = path.stem, path.suffix.removeprefix(".")
            link = self._own / name
            # An earlier offer has checked what is linked; and two trials may have compiled the
            # same program, of which either file is right: also one of this trial that is not
            # published yet.
            if not link.exists(follow_symlinks=False) and self._is_undamaged(path, digest):
                link.symlink_to(path.resolve())
        return self._own

    def publish(self) -> None:
        """Share the programs that JAX has added; if that fails, warn and go on."""
        for path in sorted(self._own.glob(PATTERN)):
            if path.is_symlink():
                continue
            try:
                self._share(path)
            except UserError as error:
                LOGGER.warning("perfkit: %s; it is not kept", error)
                return
            except OSError as error:
                reason = reason_of(error)
                LOGGER.warning(
                    "perfkit: the compiled program %s is unusable (%s); it is not kept",
                    path,
                    reason,
                )
                return

    def _share(self, path: Path) -> None:
        target = self._shared / f"{path.name}.{file_digest(path)}"
        with replacing(target, "compiled program") as stream, path.open("rb") as source:
            shutil.copyfileobj(source, stream)
        path.unlink()
        path.symlink_to(target.resolve())

    def close(self) -> None:
        """Remove the folder for JAX."""
        shutil.rmtree(self._own, ignore_errors=True)

    def _is_undamaged(self, path: Path, digest: str) -> bool:
        try:
            if file_digest(path) == digest:
                return True
            fault = "damaged: its checksum differs"
        except FileNotFoundError:
            # Another trial has just removed the file.
            return False
        except OSError as error:
            fault = f"unreadable ({reason_of(error)})"
        remove(path)
        LOGGER.warning("perfkit: the compiled program %s is %s; it is compiled again", path, fault)
        return False

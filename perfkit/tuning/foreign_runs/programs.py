"""Compiled programs that the runs of one preset share, kept apart by version and CPU."""

from __future__ import annotations

import logging
from pathlib import Path

from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.paths import cache_folder
from perfkit.records.machine import cpu_identity
from perfkit.trial.worker.programs import Programs
from perfkit.tuning.preset import Preset

FOLDER = "foreign-programs"
"""Folder below the cache's root."""

OWN_FOLDER = "programs"
"""Folder of a run in which JAX finds and puts programs."""

LOGGER = logging.getLogger("perfkit.tuning.foreign_runs.programs")
"""Logger of the warning that programs are not kept."""


class KeptPrograms:
    """The compiled programs of a preset, checked before JAX reads them.

    The versions of the packages in the command's environment are known only when it imports JAX.
    Programs of all versions are therefore offered, each in the folder of its versions.

    Parameters
    ----------
    shared
        Folder that outlives the run.
    own
        Folder for JAX; only this run uses it.

    Attributes
    ----------
    own
        The same folder.
    """

    def __init__(self, shared: Path, own: Path) -> None:
        self._cpu = short_digest(cpu_identity())
        self._shared = shared
        self.own = own

    def offer(self) -> None:
        """Offer the programs of earlier runs.

        Raises
        ------
        UserError
            A folder cannot be created.
        """
        for folder in self._folders(self._shared):
            self._of(folder.name).offer()

    def publish(self) -> None:
        """Keep what the run has compiled; if that fails, warn and go on."""
        try:
            for folder in self._folders(self.own):
                self._of(folder.name).publish()
        except (OSError, UserError) as error:
            LOGGER.warning("perfkit: %s; what the command compiled is not kept", error)

    def _folders(self, root: Path) -> list[Path]:
        return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []

    def _of(self, version: str) -> Programs:
        return Programs(self._shared / version, self.own / version, self._cpu)


def offered_programs(preset: Preset, root: Path) -> tuple[KeptPrograms | None, list[str]]:
    """Offer the compiled programs of a preset, in a folder of this run.

    Parameters
    ----------
    preset
        The preset, whose programs are kept in a folder of the user's cache.
    root
        Folder of the run.

    Returns
    -------
    programs : KeptPrograms or None
        The programs; None where they cannot be kept. The run then compiles.
    sentences : list of str
        Why they cannot be kept.
    """
    try:
        shared = cache_folder(FOLDER, f"{preset.model}-{preset.configuration.digest}")
        kept = KeptPrograms(shared, root / OWN_FOLDER)
        kept.offer()
    except UserError as error:
        return None, [f"no compiled programs are kept: {error}"]
    return kept, []

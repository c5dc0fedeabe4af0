"""Run a command on CPUs that no other task of this machine uses.

Some batch systems count CPUs without binding tasks to them. Tasks that share a machine would then
all run on its first CPUs. Each CPU therefore has a lock file on its machine, which is held as long
as the command runs.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus
from perfkit.knobs.topology import pieces, places
from perfkit.printable import printable

WAIT_S = 0.5
"""Seconds between two attempts while all CPUs are taken."""

PRIVATE = 0o700
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def lock_folder() -> Path:
    """Return the folder of this user's locks on this machine."""
    return Path(tempfile.gettempdir()) / f"perfkit-cpus-{os.getuid()}"


def open_lock_folder(folder: Path) -> int:
    """Return a descriptor of the lock folder, which is created if it does not exist.

    Everybody who may write to the temporary folder can guess its name. A folder of another user
    and a symbolic link are therefore refused. Locks are opened relative to the descriptor, so that
    replacing the folder later has no effect.

    Raises
    ------
    UserError
        The folder cannot be used, or others can write to it.
    """
    advice = "remove it, or set TMPDIR to a folder of your own"
    try:
        try:
            folder.mkdir(mode=PRIVATE)
        except FileExistsError:
            if stat.S_ISLNK(folder.lstat().st_mode):
                raise UserError(f"the lock folder {folder} is a link: {advice}") from None
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(
            f"the lock folder {folder} cannot be used ({error.strerror}): {advice}"
        ) from error
    found = os.fstat(descriptor)
    problem = None
    if found.st_uid != os.getuid():
        problem = f"belongs to user {found.st_uid}, not to you ({os.getuid()})"
    elif found.st_mode & WRITABLE_BY_OTHERS:
        problem = f"can be written by others (mode {stat.S_IMODE(found.st_mode):o})"
    if problem is not None:
        os.close(descriptor)
        raise UserError(f"the lock folder {folder} {problem}: {advice}")
    return descriptor


def acquire_cpus(count: int, folder: Path | None = None) -> tuple[int, ...]:
    """Lock CPUs for this process, and wait until enough are free.

    A process that may use exactly ``count`` CPUs was bound by the batch system and keeps them.
    A message on standard error says once that the process waits.

    Parameters
    ----------
    count
        Number of CPUs, which are neighbours: NUMA nodes and the threads of a core stay together.
    folder
        Folder of the locks, :func:`lock_folder` by default.

    Returns
    -------
    tuple of int
        The CPUs. Their locks stay open in this process and in the program that replaces it.

    Raises
    ------
    UserError
        Fewer CPUs are allowed, or the locks cannot be used.
    """
    allowed = allowed_cpus()
    if count > len(allowed):
        raise UserError(f"{count} CPUs are requested, but only {len(allowed)} are allowed here")
    if len(allowed) == count:
        return allowed
    folder = lock_folder() if folder is None else folder
    descriptor = open_lock_folder(folder)
    neighbours = pieces(places(allowed), count)
    waiting = False
    while True:
        for cpus in neighbours:
            if _lock_all(folder, descriptor, cpus):
                return cpus
        if not waiting:
            waiting = True
            print(
                f"perfkit: waiting for {count} of this machine's {len(allowed)} CPUs: other tasks "
                f"hold them (locks in {printable(str(folder))})",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(WAIT_S)


def _lock_all(folder: Path, descriptor: int, cpus: tuple[int, ...]) -> bool:
    """Lock all CPUs or none. The descriptors of the locks stay open through ``exec``."""
    held: list[int] = []
    for cpu in cpus:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        try:
            held.append(os.open(f"{cpu}.lock", flags, mode=0o600, dir_fd=descriptor))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for each in held:
                os.close(each)
            return False
        except OSError as error:
            raise UserError(
                f"the lock {folder / f'{cpu}.lock'} cannot be used ({error.strerror}): remove it"
            ) from error
    for each in held:
        os.set_inheritable(each, True)
    return True


def exec_on_cpus(command: Sequence[str], count: int) -> NoReturn:
    """Replace this process by a command that is bound to ``count`` locked CPUs.

    Parameters
    ----------
    command
        Program and its arguments.
    count
        Number of CPUs; see :func:`acquire_cpus`.

    Raises
    ------
    UserError
        The CPUs cannot be locked, or the command cannot be run.
    """
    os.sched_setaffinity(0, acquire_cpus(count))
    try:
        os.execvp(command[0], list(command))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{command[0]!r} cannot be run ({reason})") from error

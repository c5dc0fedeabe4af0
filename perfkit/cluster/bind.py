"""Runs a command on CPUs that no other task on the machine has.

Where a batch system counts CPUs but binds nothing to them, instances that share a machine would
all run on the same first CPUs. Each CPU has a lock file on its machine; the lock lives as long as
the command that this process becomes.
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
from perfkit.printable import printable

WAIT_S = 0.5
"""Between two tries, while all CPUs are taken."""

PRIVATE = 0o700
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def lock_folder() -> Path:
    """Folder of this user's locks on this machine."""
    return Path(tempfile.gettempdir()) / f"perfkit-cpus-{os.getuid()}"


def open_lock_folder(folder: Path) -> int:
    """A descriptor of the lock folder, made if need be.

    Its name is known to everybody who may write to the temporary folder, so a folder that another
    user has made, or a link that points elsewhere, is refused. The locks are opened through the
    descriptor: exchanging the folder afterwards changes nothing.

    Raises
    ------
    UserError
        The folder cannot be used, or is not this user's alone.
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


def take(count: int) -> tuple[int, ...]:
    """CPUs for this process, ``count`` neighbours that begin at a multiple of it; waits for them.

    Where this process may use no more than ``count`` CPUs, the batch system has bound it: those
    are taken as they are. Waiting is said once, on standard error.

    Raises
    ------
    UserError
        So many CPUs are not allowed here, or the locks cannot be used.
    """
    allowed = allowed_cpus()
    if count > len(allowed):
        raise UserError(f"{count} CPUs are asked for, but only {len(allowed)} are allowed here")
    if len(allowed) == count:
        return allowed
    folder = lock_folder()
    descriptor = open_lock_folder(folder)
    waiting = False
    while True:
        for first in range(0, len(allowed) - count + 1, count):
            cpus = allowed[first : first + count]
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
    """Lock all CPUs or none; the locks' descriptors stay open through ``exec``."""
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


def become(command: Sequence[str], count: int) -> NoReturn:
    """Take ``count`` CPUs, bind this process to them and become the command.

    Raises
    ------
    UserError
        See :func:`take`, or the command cannot be run.
    """
    os.sched_setaffinity(0, take(count))
    try:
        os.execvp(command[0], list(command))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{command[0]!r} cannot be run ({reason})") from error

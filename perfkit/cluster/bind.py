"""``python -m perfkit.cluster.bind N -- CMD``: run a command on N CPUs that no other one has.

Where a batch system counts CPUs but binds nothing to them, instances that share a machine would
all run on the same first CPUs. Each CPU has a lock file on its machine; the lock lives as long as
the command that this process becomes.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path

from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus

WAIT_S = 0.5
"""Between two tries, while all CPUs are taken."""


def lock_folder() -> Path:
    """Where this user's locks lie on this machine."""
    return Path(tempfile.gettempdir()) / f"perfkit-cpus-{os.getuid()}"


def take(count: int) -> tuple[int, ...]:
    """CPUs for this process, ``count`` neighbours that begin at a multiple of it; waits for them.

    Where this process may use no more than ``count`` CPUs, the batch system has bound it: those
    are taken as they are.

    Raises
    ------
    UserError
        So many CPUs are not allowed here.
    """
    allowed = allowed_cpus()
    if count > len(allowed):
        raise UserError(f"{count} CPUs are asked for, but only {len(allowed)} are allowed here")
    if len(allowed) == count:
        return allowed
    folder = lock_folder()
    folder.mkdir(exist_ok=True)
    while True:
        for first in range(0, len(allowed) - count + 1, count):
            cpus = allowed[first : first + count]
            if _lock_all(folder, cpus):
                return cpus
        time.sleep(WAIT_S)


def _lock_all(folder: Path, cpus: tuple[int, ...]) -> bool:
    """Lock all CPUs or none; the descriptors stay open through ``exec``."""
    held: list[int] = []
    for cpu in cpus:
        descriptor = os.open(folder / f"{cpu}.lock", os.O_RDWR | os.O_CREAT)
        held.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for each in held:
                os.close(each)
            return False
    for descriptor in held:
        os.set_inheritable(descriptor, True)
    return True


def main(arguments: list[str]) -> int:
    """Take the CPUs, bind to them and become the command."""
    count, separator, *command = [*arguments, "", ""][: max(3, len(arguments))]
    if not count.isdecimal() or int(count) < 1 or separator != "--" or not command[0]:
        raise UserError("usage: python -m perfkit.cluster.bind N -- CMD...")
    os.sched_setaffinity(0, take(int(count)))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run ({error.strerror})") from error


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        print(f"perfkit: {error}", file=sys.stderr)
        sys.exit(UserError.exit_code)
